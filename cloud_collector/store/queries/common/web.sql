-- name: web_unmatched
select topic, gateway, reason, nearest, messages, last_at from unmatched order by last_at desc limit 50;
-- name: web_invoices
select number, account, contract, period_start, period_end, kind, total, currency, issued_at
from invoice
order by issued_at desc, id desc
limit 200;
-- name: web_invoice_line
select line from invoice where number = ?;
-- name: web_parked
select contract, period_start, reason from parked order by contract;
-- name: web_counts
select (select coalesce(max(id), 0) from line),
       (select count(*) from gateway),
       (select count(*) from invoice),
       (select count(*) from unmatched),
       (select received_at from line where id = (select max(id) from line));
-- name: web_schema
select max(version) from migration;
