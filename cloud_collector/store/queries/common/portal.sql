-- name: portal_invoices
select number, contract, period_start, period_end, kind, total, currency, issued_at
from invoice
where account = ?
order by issued_at desc, id desc
limit 500;
-- name: portal_invoice
select line from invoice where number = ? and account = ?;
-- name: wish_add
insert into wish (contract, budget, over_percents, under_percents, mail, at, who) values (?, ?, ?, ?, ?, ?, ?);
-- name: wish_newest
select id, budget, over_percents, under_percents, mail, at, who from wish where contract = ? order by id desc limit 1;
-- name: wishes_newest
select contract, max(id) from wish group by contract;
-- name: wishes
select id, budget, over_percents, under_percents, mail, at, who from wish where contract = ? and id < ? order by id desc limit ?;
-- name: portal_warnings
select contract, against, side, way, percent, what, at, figure, threshold, unit, said, period_start, id
from warning where account = ? order by id desc limit ?;
-- name: portal_line
select l.raw, l.received_at from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.seq = ? and l.aside = 0;
-- name: dispute_add
insert into dispute (account, number, place, amount, evidence, holds, at, who) values (?, ?, ?, ?, ?, ?, ?, ?) returning id;
-- name: dispute_say
insert into dispute_word (dispute, what, said, at, who, side) values (?, ?, ?, ?, ?, ?);
-- name: disputes
select id, account, number, place, amount, evidence, holds, at, who from dispute
where (? = '' or account = ?) and id < ? order by id desc limit ?;
-- name: dispute_one
select id, account, number, place, amount, evidence, holds, at, who from dispute where id = ?;
-- name: dispute_words
select what, said, at, who, side from dispute_word where dispute = ? order by id;
-- name: dispute_credit
select c.number, v.reason, v.by_whom, c.issued_at, n.number
from voided v join invoice o on o.id = v.invoice join invoice c on c.id = v.credit_note
left join rebilled r on r.voided = v.invoice left join invoice n on n.id = r.invoice
where o.number = ?;
-- name: deletion_add
insert into deletion (account, until, at, who) values (?, ?, ?, ?);
-- name: deletions
select id, until, at, who from deletion where account = ? order by id desc limit ?;
