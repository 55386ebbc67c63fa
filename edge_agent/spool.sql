-- The spool's tables and every statement that the agent runs on them.
-- Times of receipts are the collector's milliseconds (`at` of MR1), so that no wall clock of the
-- gateway decides what is forgotten. `id` rises in the order of sealing.

-- name: create_identity
create table identity (
    one integer primary key check (one = 1),
    gateway text not null,
    epoch text not null,
    check_sum integer not null
)

-- name: create_chain
create table chain (
    log text not null,
    epoch text not null,
    seq integer not null,
    head text not null,
    through integer not null default 0,
    through_head text not null default '',
    previous text,
    rival text,
    check_sum integer not null,
    primary key (log, epoch)
) without rowid

-- name: create_heard
create table heard (
    log text primary key,
    at integer not null,
    check_sum integer not null
) without rowid

-- name: create_line
create table line (
    id integer primary key,
    log text not null,
    epoch text not null,
    seq integer not null,
    hash text not null,
    kind text not null,
    sealed_at integer not null,
    receipted_at integer,
    aside integer not null default 0,
    rested integer not null default 0,
    raw blob not null,
    unique (log, epoch, seq)
)

-- name: create_line_waiting
create index line_waiting on line (id) where receipted_at is null and rested = 0

-- name: create_snapshot
create table snapshot (
    one integer primary key check (one = 1),
    check_sum integer not null,
    packed blob not null
)

-- name: create_kept
create table if not exists kept (
    name text primary key,
    value text not null,
    check_sum integer not null
) without rowid

-- name: has_kept
select 1 from sqlite_master where type = 'table' and name = 'kept'

-- name: kept
select value, check_sum from kept where name = ?

-- name: kept_all
select name, value, check_sum from kept order by name

-- name: put_kept
insert into kept (name, value, check_sum) values (?, ?, ?)
on conflict (name) do update set value = excluded.value, check_sum = excluded.check_sum

-- name: set_identity
insert into identity (one, gateway, epoch, check_sum) values (1, ?, ?, ?)
on conflict (one) do update set epoch = excluded.epoch, check_sum = excluded.check_sum

-- name: identity
select gateway, epoch, check_sum from identity

-- name: put_chain
insert into chain (log, epoch, seq, head, through, through_head, previous, rival, check_sum)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (log, epoch) do update set
    seq = excluded.seq, head = excluded.head, through = excluded.through,
    through_head = excluded.through_head, previous = excluded.previous, rival = excluded.rival,
    check_sum = excluded.check_sum

-- name: chains
select log, epoch, seq, head, through, through_head, previous, rival, check_sum from chain order by log, epoch

-- name: drop_chain
delete from chain where log = ? and epoch = ?

-- name: chains_without_lines
select chain.log, chain.epoch from chain
where chain.epoch <> ?
and not exists (select 1 from line where line.log = chain.log and line.epoch = chain.epoch)
order by chain.log, chain.epoch

-- name: set_heard
insert into heard (log, at, check_sum) values (?, ?, ?)
on conflict (log) do update set at = excluded.at, check_sum = excluded.check_sum

-- name: heard
select log, at, check_sum from heard order by log

-- name: put_snapshot
insert into snapshot (one, check_sum, packed) values (1, ?, ?)
on conflict (one) do update set check_sum = excluded.check_sum, packed = excluded.packed

-- name: snapshot
select check_sum, packed from snapshot

-- name: put_line
insert into line (log, epoch, seq, hash, kind, sealed_at, raw) values (?, ?, ?, ?, ?, ?, ?)

-- name: move_line
update line set id = ? where log = ? and epoch = ? and seq = ?

-- name: foldable_logs
select log from line where epoch = ? and receipted_at is null and rested = 0 and kind in ('usage', 'gap')
group by log order by min(id)

-- name: foldable_lines
select id, hash, raw from line
where log = ? and epoch = ? and seq > ? and receipted_at is null and kind in ('usage', 'gap') order by seq limit ?

-- name: summary_logs
select log from line where epoch = ? and receipted_at is null and rested = 0 and kind = 'summary'
group by log order by min(id)

-- name: foldable_summaries
select id, hash, raw from line
where log = ? and epoch = ? and seq > ? and receipted_at is null and kind = 'summary' order by id limit ?

-- name: foldable_anything
select id, hash, raw from line
where log = ? and epoch = ? and seq > ? and receipted_at is null and kind in ('usage', 'gap', 'summary') order by id limit ?

-- name: receipted_logs
select log from line where epoch = ? and receipted_at is not null and kind in ('usage', 'gap', 'summary')
group by log order by min(id)

-- name: foldable_receipted
select id, hash, raw from line
where log = ? and epoch = ? and seq > ? and receipted_at is not null and kind in ('usage', 'gap') order by seq limit ?

-- name: foldable_receipted_anything
select id, hash, raw from line
where log = ? and epoch = ? and seq > ? and receipted_at is not null and kind in ('usage', 'gap', 'summary') order by id limit ?

-- name: summary_bytes
select coalesce(sum(length(raw)), 0) from line where epoch = ? and receipted_at is null and kind = 'summary'

-- name: put_salvaged_line
insert or ignore into line (log, epoch, seq, hash, kind, sealed_at, raw) values (?, ?, ?, ?, ?, ?, ?)

-- name: line_raw
select raw from line where log = ? and epoch = ? and seq = ?

-- name: last_usage
select raw from line where log = ? and kind = 'usage' order by id desc limit 1

-- name: line_hash
select hash from line where log = ? and epoch = ? and seq = ?

-- name: lines_after
select id, log, epoch, seq, hash, kind, raw from line where id > ? order by id limit ?

-- name: waiting
select log, epoch, seq from line where receipted_at is null and rested = 0 order by id limit ?

-- name: rotations
select raw from line where kind = 'rotate' and aside = 0 order by id

-- name: waiting_rotations
select log, epoch, seq from line where kind = 'rotate' and receipted_at is null and rested <> 2 order by id

-- name: readmit
update line set rested = 0 where log = ? and epoch = ? and seq = ? and rested <> 0

-- name: unreceipted
select hash, rested from line where log = ? and epoch = ? and seq = ? and receipted_at is null and rested <> 2

-- name: is_aside
select 1 from line where log = ? and epoch = ? and seq = ? and hash = ? and aside = 1

-- name: put_behind
update line set rested = 2 where receipted_at is null and epoch <> ?

-- name: put_line_behind
update line set rested = 2 where log = ? and epoch = ? and seq = ?

-- name: create_line_behind
create index if not exists line_behind on line (id) where rested = 2

-- name: waiting_behind
select log, epoch, seq from line where rested = 2 and receipted_at is null order by id limit ?

-- name: behind_count
select count(*) from line where rested = 2 and receipted_at is null

-- name: held_from
select log, epoch, seq from line where log = ? and epoch = ? and seq between ? and ? order by seq limit ?

-- name: waiting_within
select log, epoch, seq from line
where log = ? and epoch = ? and seq between ? and ? and receipted_at is null
order by seq limit ?

-- name: waiting_newest
select log, epoch, seq from line where receipted_at is null and rested = 0 order by id desc limit 1

-- name: waiting_count
select count(*) from line where receipted_at is null and rested = 0

-- name: waiting_oldest_sealed_at
select sealed_at from line where receipted_at is null and rested = 0 order by id limit 1

-- name: confirm
update line set receipted_at = ?
where log = ? and epoch = ? and seq > ? and seq <= ? and receipted_at is null

-- name: unconfirm
update line set receipted_at = null
where log = ? and epoch = ? and seq > ? and receipted_at is not null and aside = 0

-- name: unrest
update line set rested = 0 where log = ? and epoch = ? and seq > ? and rested = 1

-- name: set_aside
update line set receipted_at = ?, aside = 1
where log = ? and epoch = ? and hash = ? and receipted_at is null

-- name: rest
update line set rested = 1
where log = ? and epoch = ? and seq between ? and ? and receipted_at is null and rested <> 1

-- name: held_within
select seq from line where log = ? and epoch = ? and seq between ? and ? order by seq

-- name: telling
select raw from line where receipted_at is null and kind in ('summary', 'forgotten') order by id

-- name: forgettable
select id, log, epoch, seq, receipted_at from line
where receipted_at is not null and receipted_at <= ?
and not (epoch = ? and kind in ('birth', 'clock', 'exchange', 'rotate'))
order by id limit ?

-- name: forgettable_bytes
select coalesce(sum(length(raw)), 0) from line
where receipted_at is not null and receipted_at <= ?
and not (epoch = ? and kind in ('birth', 'clock', 'exchange', 'rotate'))

-- name: receipted_bytes
select coalesce(sum(length(raw) + ?), 0) from line where receipted_at is not null

-- name: newest_usage
select raw from line where id in (select max(id) from line where epoch = ? and kind = 'usage' group by log)

-- name: forget
delete from line where id = ?

-- name: changed
select changes()

-- name: page_count
pragma page_count

-- name: page_size
pragma page_size

-- name: freelist_count
pragma freelist_count

-- name: integrity
pragma integrity_check(1)

-- name: unreadable_texts
select
    (select count(*) from line where typeof(raw) <> 'blob' or (log || epoch || hash || kind) glob '*[^a-zA-Z0-9_.-]*')
    + (select count(*) from chain where (log || epoch || head || through_head) glob '*[^a-zA-Z0-9_.-]*'
        or (coalesce(previous, '') || coalesce(rival, '')) glob '*[^][a-zA-Z0-9_", -]*')
    + (select count(*) from heard where log glob '*[^a-z0-9_.-]*')
    + (select count(*) from identity where (gateway || epoch) glob '*[^a-z0-9-]*')

-- name: tables
select name from sqlite_master where type = 'table' order by name

-- name: version
pragma user_version

-- name: set_version
pragma user_version = 1
