-- What stands on a device's timeline, out of indexes that hold few rows: its reports may be a million.
-- SQLite joins in the order in which they stand where it is told to cross them.

-- name: device_marks
select s.seq, s.kind, s.start, s.until, s.register, s.register_end, s.serial, s.raw, s.reason, h.log, h.epoch,
    l.received_at, case when s.kind in (2, 3) then l.raw end
from (
    select m.* from span m indexed by span_mark where m.channel = ? and m.kind <= 2 and m.start is not null
    union all
    select o.* from span o indexed by span_other where o.channel = ? and (o.kind = 3 or o.kind >= 5) and o.start is not null
) s join chain h on h.id = s.chain join line l on l.id = s.line order by s.start, s.chain, s.seq, s.kind;

-- name: device_set_apart
select s.seq, s.start, s.reason, h.log, h.epoch, l.received_at from chain h
cross join span s indexed by span_set_apart on s.chain = h.id and (s.reason is not null or s.withheld <> 0)
join line l on l.id = s.line
where h.gateway = ? and s.channel = ? and s.kind = 4 and s.start is not null and s.reason is not null
order by s.chain, s.seq;

-- name: device_noted
-- A summary tells of positions before its own: its rows bear theirs, and name it.
select s.start, s.step, h.log, h.epoch, l.received_at, l.raw from chain h
cross join line l indexed by line_noted on l.chain = h.id and instr(l.raw, x'5d2c7b22') > 0
cross join span s on s.channel = ? and s.chain = h.id and s.seq = l.seq and s.kind = 4 and s.folded is null
where h.gateway = ? and s.start is not null and s.line = l.id
union all
select s.start, s.step, h.log, h.epoch, l.received_at, l.raw from chain h
cross join line l indexed by line_noted on l.chain = h.id and l.kind = 'summary' and instr(l.raw, x'5d2c7b22') > 0
cross join span s indexed by span_folded on s.channel = ? and s.chain = h.id and s.folded is not null and s.folded = l.seq and s.kind = 4
where h.gateway = ? and s.start is not null and s.line = l.id order by 1;
