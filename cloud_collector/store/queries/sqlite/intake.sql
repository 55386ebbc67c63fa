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
