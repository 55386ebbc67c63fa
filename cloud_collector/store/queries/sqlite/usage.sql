-- Without statistics SQLite prefers the primary key and would walk every row in between; these indexes hold few rows.

-- name: first_mark
select seq, raw, serial, register, start, line from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq limit 1;

-- name: last_mark
select raw, serial, register, estimated from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq desc limit 1;

-- name: last_sure_mark
select start from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 and estimated is null
order by seq desc limit 1;

-- name: view_chain_ragged
select 1 from span indexed by span_special where channel = ? and chain = ? and ragged <> 0
and (kind = 3 or kind >= 5 or estimated is not null or ragged <> 0) limit 1;

-- name: view_device
-- Each channel of a device with the rows at both ends of a stretch; more than one row where several begin at once.
select c.meter, c.id, c.unit, c.exponent, c.longest,
    exists (select 1 from unknown u where u.channel = c.id and u.start is not null and u.start < ? and u.until > ?),
    h.id, f.seq, f.start, f.step, f.count, f.deltas, f.register,
    l.seq, l.start, l.step, l.count, l.deltas, l.register, l.register_end, l.until, h.log, h.epoch,
    h.id = (select min(s.chain) from span s where s.channel = c.id)
    and h.id = (select max(s.chain) from span s where s.channel = c.id)
    and not exists (select 1 from span s indexed by span_special where s.channel = c.id and s.chain = h.id and s.ragged <> 0
        and (s.kind = 3 or s.kind >= 5 or s.estimated is not null or s.ragged <> 0)),
    exists (select 1 from span s where s.channel = c.id and (s.kind = 3 or s.kind >= 5) and s.start is not null
        and s.until > ? and s.start < ? and s.reason is null),
    exists (select 1 from span s indexed by span_special where s.channel = c.id and s.chain = h.id and s.seq between f.seq and l.seq
        and (s.kind = 3 or s.kind >= 5 or s.estimated is not null or s.ragged <> 0))
from channel c
left join span f indexed by span_usage on f.channel = c.id and f.kind = 4 and f.start is not null and f.start = coalesce(
    (select case when s.until > ? then s.start end from span s
        where s.channel = c.id and s.kind = 4 and s.start is not null and s.start <= ? order by s.start desc limit 1),
    (select min(s.start) from span s where s.channel = c.id and s.kind = 4 and s.start is not null and s.start >= ?))
left join span l indexed by span_usage on l.channel = c.id and l.kind = 4 and l.start is not null and l.start = (
    select max(s.start) from span s where s.channel = c.id and s.kind = 4 and s.start is not null and s.start < ?)
left join chain h on h.id = f.chain and h.id = l.chain
where c.gateway = ? and c.device = ? order by c.meter;
