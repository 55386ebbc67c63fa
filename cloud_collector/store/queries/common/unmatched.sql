-- What nobody knows: what knocks, what is blocked. `unmatched_put` of intake passes over what is blocked.

-- name: strangers
select topic, gateway, reason, nearest, messages, first_at, last_at from unmatched order by last_at desc, id desc;

-- name: stranger_forget
delete from unmatched where topic = ? and reason = ?;

-- name: devices_heard
-- A row a channel: whoever reads them leaves out the few that come twice, which is cheaper than to do it here.
select id, gateway || '/' || device from channel where id >= ? order by id;

-- name: channels_count
select count(*) from channel;

-- name: blocks
select kind, gateway, what, at, by_whom, reason from block order by kind, gateway, what;

-- name: blocks_count
select count(*) from block;

-- name: block_put
insert into block (kind, gateway, what, at, by_whom, reason) values (?, ?, ?, ?, ?, ?)
on conflict (kind, gateway, what) do update set at = excluded.at, by_whom = excluded.by_whom, reason = excluded.reason;

-- name: block_drop
delete from block where kind = ? and gateway = ? and what = ? returning kind;

-- name: blocks_of_gateway_drop
delete from block where gateway = ? and kind in ('gateway', 'key') and what in ('', ?);
