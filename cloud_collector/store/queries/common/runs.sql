-- name: run_begin
insert into billing_run (begun_at, by_whom, as_of, contracts, drafts) values (?, ?, ?, ?, ?) returning id;

-- name: run_end
insert into billing_run_ended (run, at, issued, parked, unapproved) values (?, ?, ?, ?, ?)
on conflict (run) do nothing;

-- name: run_stopped
select r.id, r.by_whom, r.as_of, r.contracts from billing_run r left join billing_run_ended e on e.run = r.id
where r.drafts = 0 and e.run is null and r.id = (select max(id) from billing_run where drafts = 0);

-- name: runs_all
select r.id, r.begun_at, r.by_whom, r.as_of, r.contracts, r.drafts, e.at, e.issued, e.parked, e.unapproved
from billing_run r left join billing_run_ended e on e.run = r.id order by r.id;

-- name: run_of_drafts
select by_whom from billing_run where id = ? and drafts = 1;

-- name: draft_add
insert into drafted (
    run, task, contract, period_start, period_end, invoice, reason, digest, currency, total, draft
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: drafts_of_run
select d.id, d.task, d.contract, d.period_start, d.period_end, o.number, d.reason, d.currency, d.total, a.by_whom, a.at,
    i.number
from drafted d left join invoice o on o.id = d.invoice left join approval a on a.draft = d.id
left join draft_issued s on s.draft = d.id left join invoice i on i.id = s.invoice where d.run = ? order by d.id;

-- name: drafts_newest
select d.id, d.run, d.task, d.contract, d.period_start, d.period_end, o.number, d.reason, d.currency, d.total, r.by_whom,
    a.by_whom, a.at, i.number, p.contract is not null
from drafted d join billing_run r on r.id = d.run left join invoice o on o.id = d.invoice
left join approval a on a.draft = d.id left join draft_issued s on s.draft = d.id left join invoice i on i.id = s.invoice
left join period_closed p on p.contract = d.contract and p.period_start = d.period_start
where d.id in (
    select max(id) from drafted group by task, contract, period_start, coalesce(invoice, 0)
) order by d.run, d.id;

-- name: draft_content
select draft from drafted where id = ?;

-- name: approval_add
insert into approval (draft, by_whom, at, signed_in) values (?, ?, ?, ?) on conflict (draft) do nothing;

-- name: approvals_of_period
select d.id, d.digest, d.total, d.currency, r.by_whom, a.by_whom, a.signed_in from drafted d
join billing_run r on r.id = d.run join approval a on a.draft = d.id left join draft_issued s on s.draft = d.id
where d.contract = ? and d.period_start = ? and d.task = 'period' and s.draft is null order by d.id desc;

-- name: approvals_of_corrections
select d.id, d.task, o.number, d.reason, d.digest, r.by_whom, a.by_whom, d.contract, a.signed_in from drafted d
join billing_run r on r.id = d.run join invoice o on o.id = d.invoice join approval a on a.draft = d.id
left join draft_issued s on s.draft = d.id where s.draft is null order by d.task desc, d.id;

-- name: draft_issued_add
insert into draft_issued (draft, invoice) values (?, ?);

-- name: last_billed
select p.contract, p.period_start, p.period_end, i.currency, i.total from period_closed p
left join invoice i on i.contract = p.contract and i.period_start = p.period_start
where p.period_start = (select max(o.period_start) from period_closed o where o.contract = p.contract)
order by p.contract, i.id;

-- name: last_lines
select b.line from booking b join invoice i on i.id = b.invoice where i.contract = ? and i.period_start = ?
order by b.invoice, b.place;


-- name: approved_contracts
select distinct d.contract from drafted d join approval a on a.draft = d.id left join draft_issued s on s.draft = d.id
left join period_closed p on p.contract = d.contract and p.period_start = d.period_start
where s.draft is null and (d.task <> 'period' or p.contract is null);
