-- name: portal_invoices
select number, contract, period_start, period_end, kind, total, currency, issued_at
from invoice
where account = ?
order by issued_at desc, id desc
limit 500;
-- name: portal_invoice
select line from invoice where number = ? and account = ?;
