-- name: chain_by_name
select id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank from chain
where gateway = ? and log = ? and epoch = ?;

-- name: chain_by_id
select id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank from chain where id = ?;

-- name: chains_whole
select id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank from chain
where gateway = ? and log = ? order by id;

-- name: chain_begin
insert into chain (id, gateway, log, epoch) values ((select coalesce(max(id), 0) + 1 from chain), ?, ?, ?)
returning id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank;

-- name: chain_begin_as
insert into chain (id, gateway, log, epoch) values (?, ?, ?, ?)
returning id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank;

-- name: logs_beside
select count(distinct log) from chain where gateway = ? and log <> ?;

-- name: chain_update
update chain set through = ?, head = ?, top = ?, asides = ?, gone = ? where id = ?;

-- name: chains_of_log
select id, epoch, born, previous, standing, rank, succeeded, through from chain where gateway = ? and log = ? order by id;

-- name: chain_birth
update chain set born = ?, previous = ?, previous_seq = ?, previous_hash = ? where id = ?;

-- name: chain_order
update chain set standing = ?, rank = ?, succeeded = ? where id = ?;

-- name: chain_first
select clock, boot, sealed, received_at, seq, raw, key from line where chain = ? and aside = 0 order by seq limit 1;

-- name: chains_with_holes
select id, gateway from chain where through < top order by id limit ?;

-- name: chains_of_gateway
select log, epoch, standing, rank, through, top, asides from chain where gateway = ? order by log, rank is null, rank, id;

-- name: chains_for_completeness
select id, log, rank, through, top, head, previous, previous_seq, previous_hash, epoch from chain
where gateway = ? and standing = 'linked' order by log, rank;

-- name: chains_not_linked
select count(*) from chain c where c.gateway = ? and (c.standing = 'waiting' or (c.standing = 'cloned'
    and not exists (select 1 from adoption d where d.gateway = c.gateway and c.id <= d.chains)));

-- name: line_put
insert into line (id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at, raw, aside)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do update set aside = excluded.aside;

-- name: line_hold
update line set aside = ? where id = ?;

-- name: line_at
select id, hash, prev from line where chain = ? and seq = ? and aside = 0;

-- name: line_aside_at
select id, hash, prev, aside from line where chain = ? and seq = ? and aside > 0 and aside <> 0 order by id;

-- name: line_top
select max(seq) from line where chain = ? and aside = 0;

-- name: lines_held_between
-- Of keys that are valid there.
select count(*) from line where chain = ? and seq > ? and seq < ? and aside = 0
and not exists (select 1 from disowned d where d.line = line.id);

-- name: line_holes
select seq, after from (
    select seq, lead(seq) over (order by seq) as after from line where chain = ? and seq > ? and aside = 0
) between_two where after > seq + 1 order by seq limit ?;

-- name: line_next
select min(seq) from line where chain = ? and seq > ? and aside = 0;

-- name: line_asides
select l.hash from line l left join aside_seen s on s.line = l.id where l.chain = ? and l.aside > 0 and l.aside <> 0
order by coalesce(s.seen_at, l.received_at) desc, l.id desc limit ?;

-- name: aside_seen
insert into aside_seen (line, seen_at)
select id, ? from line where chain = ? and seq = ? and hash = ? and aside > 0 and aside <> 0
on conflict (line) do update set seen_at = excluded.seen_at;

-- name: gone_put
insert into gone (line, chain, first, last) values (?, ?, ?, ?) on conflict (line) do nothing;

-- name: gone_drop
delete from gone where line = ? returning chain;

-- name: gone_at
select max(last) from gone where chain = ? and first <= ? and last >= ? having max(last) is not null;

-- name: gone_of
select first, last from gone where chain = ? order by first, last;

-- name: alarm_raise
insert into alarm (line, kind, gateway, log, text, raised_at) values (?, ?, ?, ?, ?, ?) on conflict (line, kind) do nothing;

-- name: alarm_drop
delete from alarm where line = ? and kind = ?;

-- name: alarms_of_gateway
select kind, log, text, raised_at from alarm where gateway = ? order by raised_at, line, kind;

-- name: gateways_parked
select distinct a.gateway from alarm a join line l on l.id = a.line where a.kind = 'cloned'
and not exists (select 1 from adoption d where d.gateway = a.gateway and l.chain <= d.chains) order by a.gateway;

-- name: gateway_add
insert into gateway (name, added_at) values (?, ?) on conflict (name) do nothing;

-- name: gateway_key_add
insert into gateway_key (gateway, key, public, added_at) values (?, ?, ?, ?) on conflict do nothing;

-- name: gateway_one
select name, added_at from gateway where name = ?;

-- name: gateway_names
select name from gateway order by name;

-- name: gateway_keys
select key, public, log, epoch, first, last, added_at from gateway_key where gateway = ? order by added_at, key, log, epoch;

-- name: gateway_and_keys
select k.public, k.log, k.epoch, k.first, k.last from gateway g left join gateway_key k on k.gateway = g.name
where g.name = ? order by k.added_at, k.key, k.log, k.epoch;

-- name: gateway_summary
select g.name, g.added_at,
    (select count(*) from gateway_key k where k.gateway = g.name) as keys,
    (select coalesce(sum(c.through >> 32), 0) from chain c where c.gateway = g.name) as lines_above,
    (select coalesce(sum(c.through & 4294967295), 0) from chain c where c.gateway = g.name) as lines,
    (select count(*) from chain c where c.gateway = g.name and c.through < c.top) as holes,
    (select count(*) from alarm a where a.gateway = g.name) as alarms,
    (select max(l.received_at) from line l join chain c on c.id = l.chain and l.seq = c.top and l.aside = 0
     where c.gateway = g.name) as last_at
from gateway g order by g.name;

-- name: usage_lines_through
select l.id, l.clock, l.boot, l.raw, l.seq, l.received_at from line l
where l.chain = ? and l.seq <= ? and l.aside = 0 and l.kind = 'usage' order by l.seq desc limit 1;

-- name: first_unplaced
select min(case l.kind when 'summary' then (select min(c.first) from cover c where c.line = l.id) else l.seq end)
from line l left join boot b on b.gateway = ? and b.log = ? and b.boot = l.boot
where l.chain = ? and l.clock in ('R', 'U') and l.aside = 0 and b.shift is null;
