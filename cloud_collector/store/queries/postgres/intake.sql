-- Several collectors write at once: numbers come from sequences, and whoever works on a gateway holds its turn.

-- name: changed_elsewhere
select 0;

-- name: turns_take
insert into turn (gateway, holder) select wanted, ?2 from json_array_elements_text(?1::json) wanted order by 1
on conflict (gateway) do update set holder = excluded.holder where turn.holder <> excluded.holder returning gateway;

-- name: line_ids
select nextval(pg_get_serial_sequence('line', 'id')) from generate_series(1, ?);

-- name: chain_begin
insert into chain (gateway, log, epoch) values (?, ?, ?)
returning id, gateway, log, epoch, through, head, top, asides, gone, standing, succeeded, born, rank;

-- name: channel_add
insert into channel (gateway, device, meter, unit, exponent, longest) values (?, ?, ?, ?, ?, ?) returning id;

-- name: rebuild_alone
lock table gateway, turn, chain in exclusive mode;

-- name: turns_forget
update turn set holder = 0;

-- name: gateway_key_add
with others as (update turn set holder = 0 where gateway = ?1)
insert into gateway_key (gateway, key, public, added_at) values (?1, ?2, ?3, ?4) on conflict do nothing;

-- name: month_keep
select keep_month(?, ?, ?);
