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
