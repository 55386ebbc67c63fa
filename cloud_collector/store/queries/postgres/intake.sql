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

-- name: unmatched_put
insert into unmatched (topic, gateway, reason, nearest, messages, first_at, last_at, sample)
select ?1::text, ?2::text, ?3::text, ?4::text, 1, ?5::bigint, ?6::bigint, ?7::bytea
where not exists (select 1 from block b where b.kind = 'gateway' and b.gateway = ?2::text and b.what = '')
and not exists (select 1 from block b where b.kind = 'topic' and b.what = ?1::text)
and not exists (select 1 from block b where b.kind = 'key' and b.gateway = ?2::text
    and 'the key ' || b.what || ' is not enrolled for this gateway' = ?3::text)
on conflict (topic, reason) do update set
    messages = unmatched.messages + 1, last_at = excluded.last_at, nearest = excluded.nearest, sample = excluded.sample;
