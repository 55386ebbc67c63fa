-- name: warning_add
insert into warning (
    contract, account, period_start, period_end, against, side, way, percent, turn, what, at, figure, threshold, unit, said
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id;

-- name: warnings_of_period
select against, side, way, percent, what, turn, figure, threshold, unit
from warning where contract = ? and period_start = ? order by id;

-- name: contracts_warned
select contract from warning where what = 'fired' and period_end > ?;

-- name: warnings
select id, contract, account, period_start, period_end, against, side, way, percent, turn, what, at, figure, threshold,
    unit, said
from warning order by id;

-- name: warnings_before
-- Each with whether it stands: it fired, and no later turn has withdrawn it.
select * from (
    select w.id, w.contract, w.account, w.period_start, w.period_end, w.against, w.side, w.way, w.percent, w.turn, w.what,
        w.at, w.figure, w.threshold, w.unit, w.said, case when w.what = 'fired' and not exists (
            select 1 from warning o where o.contract = w.contract and o.period_start = w.period_start
            and o.against = w.against and o.side = w.side and o.way = w.way and o.percent = w.percent and o.turn > w.turn
        ) then 1 else 0 end as stands
    from warning w where w.id < ?
) w where stands >= ? order by id desc limit ?;

-- name: warning_one
select id, contract, account, period_start, period_end, against, side, way, percent, turn, what, at, figure, threshold,
    unit, said
from warning where id = ?;

-- name: warnings_standing
select w.id, w.contract, w.account, w.period_start, w.period_end, w.against, w.side, w.way, w.percent, w.turn, w.what,
    w.at, w.figure, w.threshold, w.unit, w.said
from warning w where w.contract = ? and w.what = 'fired' and w.period_end > ? and not exists (
    select 1 from warning o where o.contract = w.contract and o.period_start = w.period_start and o.against = w.against
        and o.side = w.side and o.way = w.way and o.percent = w.percent and o.turn > w.turn
) order by w.id;

-- name: progress
-- In halves of 32 bits: a gateway may claim positions whose sum is beyond 64.
select gateway, sum(top >> 32) + sum(through >> 32), sum(top & 4294967295) + sum(through & 4294967295)
from chain group by gateway;

-- name: webhook_add
insert into webhook (name, url, account, added_at) values (?, ?, ?, ?);

-- name: webhook_take
insert into webhook (name, url, account, added_at) values (?, ?, ?, ?) on conflict (name) do nothing returning name;

-- name: webhook_one
select name, url, account, added_at, stopped_at, stopped_why from webhook where name = ?;

-- name: webhooks
select name, url, account, added_at, stopped_at, stopped_why from webhook order by name;

-- name: webhook_stop
update webhook set stopped_at = ?, stopped_why = ? where name = ?;

-- name: delivery_add
insert into delivery (warning, way, target, state, attempts, next_at) values (?, ?, ?, 'due', 0, ?)
on conflict (warning, way, target) do nothing;

-- name: deliveries_due
select d.id, d.warning, d.way, d.target, d.attempts from delivery d
where d.state = 'due' and d.next_at <= ? order by d.id limit ?;

-- name: delivery_set
update delivery set state = ?, attempts = ?, next_at = ? where id = ?;

-- name: delivery_attempt_add
insert into delivery_attempt (delivery, at, ok, why) values (?, ?, ?, ?);

-- name: delivery_again
update delivery set state = 'due', attempts = 0, next_at = ? where id = ?;

-- name: delivery_one
select id, warning, way, target, state, attempts, next_at from delivery where id = ?;

-- name: deliveries
select d.id, d.warning, d.way, d.target, d.state, d.attempts, d.next_at, w.contract, w.said,
    (select a.why from delivery_attempt a where a.delivery = d.id order by a.id desc limit 1)
from delivery d join warning w on w.id = d.warning order by d.id;
