-- name: device_state_add
insert into device_state (id, gateway, device, state, at, said_at, by_whom, reason)
values ((select coalesce(max(id), 0) + 1 from device_state), ?, ?, ?, ?, ?, ?, ?);

-- name: device_states_any
select 1 from device_state limit 1;

-- name: device_states_of_gateway
select device, state, at, said_at, by_whom, reason from device_state where gateway = ? order by at, id;

-- name: device_states_of
select device, state, at, said_at, by_whom, reason from device_state where gateway = ? and device = ? order by at, id;
