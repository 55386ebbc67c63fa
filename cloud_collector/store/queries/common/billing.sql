-- name: series_open
insert into invoice_series (series, last) values (?, 0) on conflict (series) do nothing;

-- name: series_next
update invoice_series set last = last + 1 where series = ? returning last;

-- name: invoice_add
insert into invoice (
    number, series, ordinal, contract, account, period_start, period_end, kind, revision, currency, total, issued_at,
    inputs, hash, line
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id;

-- name: invoice_revisions
select count(*) from invoice where contract = ? and period_start = ? and kind = ?;

-- name: booking_add
insert into booking (
    invoice, place, contract, period_start, charge, kind, device, part, segment_start, line
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: bookings_of_period
select i.number, b.line from booking b join invoice i on i.id = b.invoice
where b.contract = ? and b.period_start = ? order by b.invoice, b.place;

-- name: activation_add
insert into activation_used (invoice, contract, device, fact) values (?, ?, ?, ?);

-- name: activations_used
select device, fact from activation_used where contract = ? order by invoice, device;

-- name: period_close
insert into period_closed (contract, period_start, period_end, closed_at, invoice, plans_revision)
values (?, ?, ?, ?, ?, ?);

-- name: periods_closed
select period_start, period_end, closed_at, invoice, plans_revision from period_closed
where contract = ? order by period_start;

-- name: invoices_not_archived
select i.id, i.number, i.line from invoice i left join invoice_archived a on a.invoice = i.id
where a.invoice is null order by i.id;

-- name: invoice_is_archived
insert into invoice_archived (invoice) values (?) on conflict (invoice) do nothing;

-- name: invoice_known
select 1 from invoice where number = ?;

-- name: invoice_line
select id, line from invoice where number = ?;

-- name: invoices
select number, kind, contract, account, period_start, period_end, currency, total, issued_at, revision
from invoice order by id;

-- name: park
insert into parked (contract, period_start, reason, since) values (?, ?, ?, ?)
on conflict (contract) do update set period_start = excluded.period_start, reason = excluded.reason,
    since = case when parked.reason = excluded.reason then parked.since else excluded.since end;

-- name: unpark
delete from parked where contract = ?;

-- name: parked
select contract, period_start, reason, since from parked order by contract;
