-- name: device_state_add
insert into device_state (id, gateway, device, state, at, said_at, by_whom, reason)
values ((select coalesce(max(id), 0) + 1 from device_state), ?, ?, ?, ?, ?, ?, ?);

-- name: device_states_any
select 1 from device_state limit 1;

-- name: device_states_of_gateway
select device, state, at, said_at, by_whom, reason from device_state where gateway = ? order by at, id;

-- name: device_states_of
select device, state, at, said_at, by_whom, reason from device_state where gateway = ? and device = ? order by at, id;

-- name: invoices_touching
select number from invoice where contract = ? and period_end > ? and kind <> 'credit_note' order by id;

-- name: device_channels
select id, meter, unit, exponent from channel where gateway = ? and device = ? order by meter;

-- name: device_unknown
select u.seq, u.start, u.until, u.cause, u.why, h.log, h.epoch, l.received_at
from unknown u join chain h on h.id = u.chain join line l on l.id = u.line
where u.channel = ? and u.start is not null order by u.start, u.chain, u.seq, u.kind;

-- name: device_bookings
select i.number, i.issued_at, i.currency, b.line from booking b join invoice i on i.id = b.invoice
where b.contract = ? and b.device = ? order by b.invoice, b.place;

-- name: device_starts_stated
select i.number, i.issued_at, a.at, a.why from activation_used a join invoice i on i.id = a.invoice
where a.contract = ? and a.device = ? order by a.invoice;

-- name: line_received
select l.received_at from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.seq = ? and l.aside = 0;
