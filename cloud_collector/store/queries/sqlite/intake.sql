-- name: changed_elsewhere
pragma data_version;

-- SQLite has one writer at a time: whoever writes has the turn, and `changed_elsewhere` says what it missed.

-- name: turns_take
select value from json_each(?1) where ?2 is null;

-- name: rebuild_alone
select 1;

-- name: turns_forget
select 1;

-- name: month_keep
select case when ?1 is null or ?2 > ?3 then 1 else 0 end;

-- name: unmatched_put
insert into unmatched (topic, gateway, reason, nearest, messages, first_at, last_at, sample)
select ?1, ?2, ?3, ?4, 1, ?5, ?6, ?7
where not exists (select 1 from block b where b.kind = 'gateway' and b.gateway = ?2 and b.what = '')
and not exists (select 1 from block b where b.kind = 'topic' and b.what = ?1)
and not exists (select 1 from block b where b.kind = 'key' and b.gateway = ?2
    and 'the key ' || b.what || ' is not enrolled for this gateway' = ?3)
on conflict (topic, reason) do update set
    messages = unmatched.messages + 1, last_at = excluded.last_at, nearest = excluded.nearest, sample = excluded.sample;
