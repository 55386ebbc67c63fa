-- SQLite has one writer at a time, and one collector: its transactions have every turn there is.

-- name: contract_take
select ?;

-- name: contracts_begin
select ?;

-- name: turns_begin
select ?;

-- name: turns_share
select value from json_each(?);

-- name: turns_wait
select value from json_each(?);

-- name: scheduler_take
select 1;

-- name: owed_sums
-- Exact: amounts of as many decimals are added as integers. SQLite knows no decimals.
select i.account, i.currency, length(i.total) - coalesce(nullif(instr(i.total, '.'), 0), length(i.total)) as decimals,
    sum(cast(replace(i.total, '.', '') as integer)) from invoice i
where i.kind <> 'credit_note' and substr(i.total, 1, 1) <> '-' and not exists (select 1 from voided v where v.invoice = i.id)
group by i.account, i.currency, decimals;

-- name: settled_sums
select i.account, i.currency, length(e.amount) - coalesce(nullif(instr(e.amount, '.'), 0), length(e.amount)) as decimals,
    sum(cast(replace(e.amount, '.', '') as integer)) from account_entry e join invoice i on i.id = e.invoice
where i.kind <> 'credit_note' and substr(i.total, 1, 1) <> '-' and not exists (select 1 from voided v where v.invoice = i.id)
group by i.account, i.currency, decimals;
