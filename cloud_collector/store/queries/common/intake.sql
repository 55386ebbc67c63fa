-- name: unmatched_trim
delete from unmatched where id not in (select id from unmatched order by last_at desc, id desc limit ?);

-- name: refusals_add
insert into refusals (gateway, lines) values (?, 1) on conflict (gateway) do update set lines = refusals.lines + 1 returning lines;

-- name: refusals_of
select lines from refusals where gateway = ?;

-- name: refused_put
insert into refused (gateway, reason, received_at, sample) values (?, ?, ?, ?);

-- name: refused_of
select reason, received_at, sample from refused where gateway = ? order by id;

-- name: receipt_at
select at from receipt_clock where gateway = ? and log = ?;

-- name: receipt_take
insert into receipt_clock (gateway, log, at) values (?, ?, ?)
on conflict (gateway, log) do update set at = case when excluded.at > receipt_clock.at then excluded.at else receipt_clock.at + 1 end
returning at;

-- name: line_ids
with recursive n (i) as (select 1 union all select i + 1 from n where i < ?)
select (select coalesce(max(id), 0) from line) + i from n order by i;

-- name: facts
select l.id, c.gateway, c.log, c.epoch, l.seq, l.hash, l.prev, l.key, l.kind, l.boot, l.clock, l.sealed, l.received_at, l.raw,
    l.let_go, g.start, g.until
from line l join chain c on c.id = l.chain left join let_go g on g.line = l.let_go where l.id > ? order by l.id limit ?;

-- name: facts_count
select count(*) from line;

-- name: fact
select l.id, c.gateway, c.log, c.epoch, l.seq, l.hash, l.prev, l.key, l.kind, l.boot, l.clock, l.sealed, l.received_at, l.raw,
    l.let_go, g.start, g.until
from line l join chain c on c.id = l.chain left join let_go g on g.line = l.let_go where l.id = ?;

-- name: line_raw
select l.raw from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.seq = ? and l.aside = 0;

-- name: lines_between
select l.seq, l.raw, l.received_at from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.seq between ? and ? and l.aside = 0 order by l.seq;
