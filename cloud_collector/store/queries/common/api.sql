-- name: api_periods
select p.period_start, p.period_end, p.closed_at, i.number
from period_closed p left join invoice i on i.id = p.invoice
where p.contract = ? and p.period_start < ? order by p.period_start desc limit ?;

-- name: api_invoices
select number, kind, contract, account, period_start, period_end, currency, total, issued_at, revision, id
from invoice where id < ? and (? = '' or contract = ?) and (? = '' or kind = ?) order by id desc limit ?;

-- name: api_invoices_of
select number, kind, contract, account, period_start, period_end, currency, total, issued_at, revision, id
from invoice where account = ? and id < ? and (? = '' or contract = ?) and (? = '' or kind = ?)
order by id desc limit ?;

-- name: api_invoice
select number, kind, contract, account, period_start, period_end, currency, total, issued_at, revision, id
from invoice where number = ?;

-- name: api_invoice_lines
select place, line from booking where invoice = ? and place > ? order by place limit ?;

-- name: api_warnings
select w.id, w.contract, w.account, w.period_start, w.period_end, w.against, w.side, w.way, w.percent, w.turn, w.what, w.at,
    w.figure, w.threshold, w.unit, w.said
from warning w where w.id < ? and (? = '' or w.contract = ?)
    and (? = 0 or (w.what = 'fired' and not exists (
        select 1 from warning o where o.contract = w.contract and o.period_start = w.period_start
            and o.against = w.against and o.side = w.side and o.way = w.way and o.percent = w.percent and o.turn > w.turn
    )))
order by w.id desc limit ?;

-- name: api_warnings_of
select w.id, w.contract, w.account, w.period_start, w.period_end, w.against, w.side, w.way, w.percent, w.turn, w.what, w.at,
    w.figure, w.threshold, w.unit, w.said
from warning w where w.account = ? and w.id < ? and (? = '' or w.contract = ?)
    and (? = 0 or (w.what = 'fired' and not exists (
        select 1 from warning o where o.contract = w.contract and o.period_start = w.period_start
            and o.against = w.against and o.side = w.side and o.way = w.way and o.percent = w.percent and o.turn > w.turn
    )))
order by w.id desc limit ?;

-- name: api_incidents
select id, kind, gateway, part, text, begun_at, ended_at from incident
where id < ? and (? = 0 or ended_at is null) order by id desc limit ?;

-- name: api_runs
select r.id, r.begun_at, r.by_whom, r.as_of, r.contracts, r.drafts, e.at, e.issued, e.parked, e.unapproved
from billing_run r left join billing_run_ended e on e.run = r.id where r.id < ? order by r.id desc limit ?;

-- name: api_run
select r.id, r.begun_at, r.by_whom, r.as_of, r.contracts, r.drafts, e.at, e.issued, e.parked, e.unapproved
from billing_run r left join billing_run_ended e on e.run = r.id where r.id = ?;

-- name: api_checkpoints
select id, origin, size, root, at, hash, line from checkpoint where id < ? order by id desc limit ?;

-- name: api_checkpoint
select id, origin, size, root, at, hash, line from checkpoint where id = ?;

-- name: api_revisions
select number, sha256, applied_at, effective_at from catalog_revision where number < ? order by number desc limit ?;

-- name: api_revision
select number, sha256, applied_at, effective_at, content from catalog_revision where number = ?;

-- name: api_deliveries
select d.id, d.warning, d.way, d.target, d.state, d.attempts, d.next_at, w.contract, w.account, w.said,
    (select a.why from delivery_attempt a where a.delivery = d.id order by a.id desc limit 1)
from delivery d join warning w on w.id = d.warning where d.id < ? order by d.id desc limit ?;

-- name: api_deliveries_of
select d.id, d.warning, d.way, d.target, d.state, d.attempts, d.next_at, w.contract, w.account, w.said,
    (select a.why from delivery_attempt a where a.delivery = d.id order by a.id desc limit 1)
from delivery d join warning w on w.id = d.warning where w.account = ? and d.id < ? order by d.id desc limit ?;

-- name: api_delivery
select d.id, d.warning, d.way, d.target, d.state, d.attempts, d.next_at, w.contract, w.account, w.said,
    (select a.why from delivery_attempt a where a.delivery = d.id order by a.id desc limit 1)
from delivery d join warning w on w.id = d.warning where d.id = ?;

-- name: live_lines
select distinct c.gateway from line l join chain c on c.id = l.chain where l.id > ? limit ?;

-- name: live_line_newest
select coalesce(max(id), 0) from line;

-- name: live_warning_newest
select coalesce(max(id), 0) from warning;

-- name: live_warnings
select id, contract, account, period_start, period_end, against, side, way, percent, turn, what, at, figure, threshold,
    unit, said
from warning where id > ? order by id limit ?;

-- name: gateway_standings
select gateway, standing from gateway_standing;

-- name: once_claim
insert into answered_once (viewer, key, request, at) values (?, ?, ?, ?) on conflict (viewer, key) do nothing
returning key;

-- name: once_of
select request, at, status, type, body from answered_once where viewer = ? and key = ?;

-- name: once_take
update answered_once set at = ? where viewer = ? and key = ? and at = ? and status is null returning key;

-- name: once_answered
update answered_once set status = ?, type = ?, body = ? where viewer = ? and key = ?;

-- name: once_drop
delete from answered_once where viewer = ? and key = ? and status is null;

-- name: once_forget
delete from answered_once where at < ?;

-- name: api_sealed_of
select id, line from invoice where account = ? and id > ? order by id limit ?;
