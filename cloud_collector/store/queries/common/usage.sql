-- name: boot_one
select shift, estimated from boot where gateway = ? and log = ? and boot = ?;

-- name: boots_not_clocked
select boot from boot where gateway = ? and log = ? and (shift is null or estimated = 1) order by boot;

-- name: boot_put
insert into boot (gateway, log, boot, shift, estimated) values (?, ?, ?, ?, ?)
on conflict (gateway, log, boot) do update set shift = excluded.shift, estimated = excluded.estimated;

-- name: boot_drop
delete from boot where gateway = ? and log = ? and boot = ?;

-- name: boot_lines
select id, raw, received_at, seq from line where chain = ? and boot = ? and clock in ('R', 'U') and aside = 0 order by seq;

-- name: boot_last
select max(coalesce(case kind when 'summary' then (select min(c.first) from cover c where c.line = line.id) end, seq))
from line where chain = ? and boot = ? and clock in ('R', 'U') and aside = 0;

-- name: boot_clock
select raw from line where chain = ? and boot = ? and kind = 'clock' and aside = 0 order by seq limit 1;

-- name: placed_after
select l.raw, l.seq, b.shift from line l left join boot b on b.gateway = ? and b.log = ? and b.boot = l.boot
where l.chain = ? and l.seq > ? and l.aside = 0 and l.kind <> 'summary'
and (l.clock in ('S', 'I') or (b.shift is not null and b.estimated = 0)) order by l.seq limit 1;

-- name: placed_summary_after
select l.raw, c.first, b.shift from cover c join line l on l.id = c.line and l.aside = 0
left join boot b on b.gateway = ? and b.log = ? and b.boot = l.boot
where c.chain = ? and c.ordinal = 0 and c.first > ?
and (l.clock in ('S', 'I') or (b.shift is not null and b.estimated = 0)) order by c.first, l.seq limit 1;

-- name: chain_lines
select id from line where chain = ? and aside = 0 order by seq;

-- name: chain_lines_sealed_after
select id from line where chain = ? and aside = 0 and clock in ('S', 'I') and sealed > ? order by seq;

-- name: channel_one
select id, unit, exponent, longest from channel where gateway = ? and device = ? and meter = ?;

-- name: channel_add
insert into channel (id, gateway, device, meter, unit, exponent, longest)
values ((select coalesce(max(id), 0) + 1 from channel), ?, ?, ?, ?, ?, ?) returning id;

-- name: channel_add_as
insert into channel (id, gateway, device, meter, unit, exponent, longest) values (?, ?, ?, ?, ?, ?, ?) returning id;

-- name: channel_unit
update channel set unit = ?, exponent = ? where id = ?;

-- name: channel_longest
-- Deleting detail may have made it longer meanwhile than whoever asks this remembers.
update channel set longest = case when longest < ?1 then ?1 else longest end where id = ?2;

-- name: channels_of_gateway
select id, device, meter, unit, exponent, longest from channel where gateway = ? order by device, meter;

-- name: channels_of_device
select meter from channel where gateway = ? and device = ? order by meter;

-- name: channels_all
select id, gateway, device, meter, unit, exponent from channel order by id;

-- name: span_put
insert into span (
    channel, chain, seq, kind, line, start, step, count, until, register, register_end, deltas, estimated, raw, serial,
    cloned, reason, withheld, ragged, top, reach
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: span_settle
update span set reason = ?, withheld = ?, ragged = ?, top = ?, reach = ? where channel = ? and chain = ? and seq = ? and kind <= 4;

-- name: node_drop
delete from span where channel = ? and chain = ? and seq = ? and kind <= 4;

-- name: bridge_drop
delete from span where channel = ? and chain = ? and seq = ? and kind = 5;

-- name: between_drop
delete from span where channel = ? and chain = ? and kind = 6;

-- name: between_unknown_drop
delete from unknown where channel = ? and chain = ? and kind = 6;

-- name: unknown_put
insert into unknown (channel, chain, seq, kind, line, start, until, cause, why) values (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: unknown_drop_line
delete from unknown where channel = ? and chain = ? and seq = ? and kind = 3;

-- name: bad_row_put
insert into bad_row (line, ordinal, chain, seq, device, meter, reason, units) values (?, ?, ?, ?, ?, ?, ?, ?);

-- name: bad_row_drop
delete from bad_row where line = ?;

-- name: bad_rows_between
select count(*) from bad_row where chain = ? and seq > ? and seq < ? and (device = '' or meter = '' or (device = ? and meter = ?));

-- name: node_tail
select seq, top, until, reach from span where channel = ? and chain = ? and kind <= 4 and cloned <> 2 order by seq desc limit 1;

-- name: tails_of_chain
select s.channel, s.seq, s.top, s.until, s.reach from chain h join channel c on c.gateway = h.gateway
join span s on s.channel = c.id and s.chain = h.id and s.kind <= 4 and s.seq = (
    select max(m.seq) from span m where m.channel = c.id and m.chain = h.id and m.kind <= 4 and m.cloned <> 2
) where h.id = ?;

-- name: node_before
select seq, top, until, reach from span
where channel = ? and chain = ? and seq < ? and kind <= 4 and cloned <> 2 order by seq desc limit 1;

-- name: nodes_from
select s.seq, s.kind, s.start, s.until, s.register, s.register_end, s.cloned, s.line, s.reason, s.withheld, s.ragged, s.top,
    s.reach, b.start, b.step, b.register, b.register_end
from span s left join span b on b.channel = s.channel and b.chain = s.chain and b.seq = s.seq and b.kind = 5
where s.channel = ? and s.chain = ? and s.seq >= ? and s.kind <= 4 order by s.seq limit ?;

-- name: node_is_in
select 1 from span where channel = ? and chain = ? and kind <= 4 limit 1;

-- name: first_mark
select seq, raw, serial, register, start, line from span
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq limit 1;

-- name: last_mark
select raw, serial, register, estimated from span
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq desc limit 1;

-- name: last_sure_mark
select start from span
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 and estimated is null
order by seq desc limit 1;

-- name: last_true_node
select seq, top, until from span where channel = ? and chain = ? and kind <= 4 and cloned = 0 order by seq desc limit 1;

-- name: last_true_use
select seq, until, kind, step from span where channel = ? and chain = ? and kind in (3, 4) and cloned = 0 order by seq desc limit 1;

-- name: first_node
select seq, register, start, line from span where channel = ? and chain = ? and kind <= 4 order by seq limit 1;

-- name: chains_in_line
select id from chain where gateway = ? and log = ? and rank is not null order by rank;

-- name: account
select c.gateway, c.device, c.meter, c.unit, c.exponent,
    coalesce(sum(case when s.reason is null and s.start is not null and s.kind >= 3 then s.register_end - s.register end), 0),
    coalesce(sum(case when s.reason is null and s.start is null and s.kind >= 3 then s.register_end - s.register end), 0),
    coalesce(sum(case when s.reason is not null and s.kind >= 3 then s.register_end - s.register else 0 end + s.withheld), 0),
    coalesce(sum(case when s.kind in (3, 5, 6) and s.reason is null then s.register_end - s.register end), 0)
from channel c left join span s on s.channel = c.id
where (? = '' or c.gateway = ?) group by c.id order by c.gateway, c.device, c.meter;

-- name: account_bad
select c.gateway, b.device, b.meter, coalesce(sum(b.units), 0), count(*) from bad_row b join chain c on c.id = b.chain
where (? = '' or c.gateway = ?) group by c.gateway, b.device, b.meter order by c.gateway, b.device, b.meter;

-- name: account_unknown
select c.gateway, c.device, c.meter, u.start, u.until, u.cause, u.why from unknown u join channel c on c.id = u.channel
where (? = '' or c.gateway = ?) order by c.gateway, c.device, c.meter, u.chain, u.seq, u.kind;

-- name: quarantined
select c.gateway, h.log, h.epoch, s.seq, c.device, c.meter, coalesce(s.reason, 'withheld beside a quarantined row'),
    s.withheld + case when s.reason is null or s.kind < 3 then 0 else s.register_end - s.register end
from span s join channel c on c.id = s.channel join chain h on h.id = s.chain
where (s.reason is not null or s.withheld <> 0) and (? = '' or c.gateway = ?)
order by c.gateway, h.log, s.chain, s.seq, c.device, c.meter;

-- name: bad_rows
select c.gateway, c.log, c.epoch, b.seq, b.device, b.meter, b.reason, b.units from bad_row b join chain c on c.id = b.chain
where (? = '' or c.gateway = ?) order by c.gateway, c.log, b.chain, b.seq, b.ordinal;

-- name: asides_raw
select c.gateway, c.log, c.epoch, l.seq, l.raw from line l join chain c on c.id = l.chain
where l.aside > 0 and l.aside <> 0 order by l.id;

-- name: view_channel
select c.id, c.unit, c.exponent, c.longest,
    (select min(s.start) from span s where s.channel = c.id and s.kind = 4 and s.start is not null),
    (select max(s.until) from span s where s.channel = c.id and (s.kind = 3 or s.kind >= 5) and s.start is not null)
from channel c where c.gateway = ? and c.device = ? and c.meter = ?;

-- name: view_usage
select h.log, h.epoch, s.seq, s.kind, s.start, s.step, s.count, s.deltas, s.register, s.estimated, l.received_at, l.let_go
from span s join chain h on h.id = s.chain join line l on l.id = s.line
where s.channel = ? and s.kind = 4 and s.start is not null and s.start < ? and s.start > ? and s.until > ? and s.reason is null;

-- name: view_other
select h.log, h.epoch, s.seq, s.kind, s.start, s.step, s.count, s.deltas, s.register, s.estimated, l.received_at, l.let_go
from span s join chain h on h.id = s.chain join line l on l.id = s.line
where s.channel = ? and (s.kind = 3 or s.kind >= 5) and s.start is not null and s.until > ? and s.start < ? and s.reason is null;

-- name: view_known
select 1 from span where channel = ? and kind in (3, 4, 5, 6) and start is not null and reason is null limit 1;

-- name: view_unknown
select start, until, cause from unknown where channel = ? and start is not null and start < ? and until > ?
order by start, until;

-- name: view_chain_next
select min(chain) from span where channel = ? and chain > ?;

-- name: view_chain_ragged
select 1 from span where channel = ? and chain = ? and ragged <> 0
and (kind = 3 or kind >= 5 or estimated is not null or ragged <> 0) limit 1;

-- name: view_chain_first
select start from span where channel = ? and chain = ? and kind = 4 order by seq limit 1;

-- name: view_chain_last
select until from span where channel = ? and chain = ? and kind = 4 order by seq desc limit 1;

-- name: view_device
-- Each channel of a device with the rows at both ends of a stretch; more than one row where several begin at once.
select c.meter, c.id, c.unit, c.exponent, c.longest,
    exists (select 1 from unknown u where u.channel = c.id and u.start is not null and u.start < ? and u.until > ?),
    h.id, f.seq, f.start, f.step, f.count, f.deltas, f.register,
    l.seq, l.start, l.step, l.count, l.deltas, l.register, l.register_end, l.until, h.log, h.epoch,
    h.id = (select min(s.chain) from span s where s.channel = c.id)
    and h.id = (select max(s.chain) from span s where s.channel = c.id)
    and not exists (select 1 from span s where s.channel = c.id and s.chain = h.id and s.ragged <> 0
        and (s.kind = 3 or s.kind >= 5 or s.estimated is not null or s.ragged <> 0)),
    exists (select 1 from span s where s.channel = c.id and (s.kind = 3 or s.kind >= 5) and s.start is not null
        and s.until > ? and s.start < ? and s.reason is null),
    exists (select 1 from span s where s.channel = c.id and s.chain = h.id and s.seq between f.seq and l.seq
        and (s.kind = 3 or s.kind >= 5 or s.estimated is not null or s.ragged <> 0))
from channel c
left join span f on f.channel = c.id and f.kind = 4 and f.start is not null and f.start = coalesce(
    (select case when s.until > ? then s.start end from span s
        where s.channel = c.id and s.kind = 4 and s.start is not null and s.start <= ? order by s.start desc limit 1),
    (select min(s.start) from span s where s.channel = c.id and s.kind = 4 and s.start is not null and s.start >= ?))
left join span l on l.channel = c.id and l.kind = 4 and l.start is not null and l.start = (
    select max(s.start) from span s where s.channel = c.id and s.kind = 4 and s.start is not null and s.start < ?)
left join chain h on h.id = f.chain and h.id = l.chain
where c.gateway = ? and c.device = ? order by c.meter;
