-- What a billing run works on, it alone works on.

-- name: contract_take
select contract from billing_turn where contract = ? for update skip locked;

-- name: contracts_begin
insert into billing_turn (contract) select wanted from json_array_elements_text(?::json) wanted
where not exists (select 1 from billing_turn t where t.contract = wanted) order by 1 on conflict do nothing;

-- name: turns_begin
insert into turn (gateway, holder) select wanted, 0 from json_array_elements_text(?::json) wanted
where not exists (select 1 from turn t where t.gateway = wanted) order by 1 on conflict do nothing;

-- name: turns_share
select gateway from turn where gateway in (select json_array_elements_text(?::json)) order by gateway
for share skip locked;

-- name: turns_wait
select gateway from turn where gateway in (select json_array_elements_text(?::json)) order by gateway for share;

-- name: scheduler_take
select case when exists (
    select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted and objsubid = 2
    and classid = (hashtext('meterseal scheduler')::bigint & 4294967295)::oid
    and objid = (hashtext(current_schema())::bigint & 4294967295)::oid
    and database = (select oid from pg_database where datname = current_database())
) then 1 else pg_try_advisory_lock(hashtext('meterseal scheduler'), hashtext(current_schema()))::int end;

-- name: owed_sums
select i.account, i.currency, 0, cast(sum(cast(i.total as numeric)) as text) from invoice i
where i.kind <> 'credit_note' and substr(i.total, 1, 1) <> '-' and not exists (select 1 from voided v where v.invoice = i.id)
group by i.account, i.currency;

-- name: settled_sums
select i.account, i.currency, 0, cast(sum(cast(e.amount as numeric)) as text) from account_entry e join invoice i on i.id = e.invoice
where i.kind <> 'credit_note' and substr(i.total, 1, 1) <> '-' and not exists (select 1 from voided v where v.invoice = i.id)
group by i.account, i.currency;
