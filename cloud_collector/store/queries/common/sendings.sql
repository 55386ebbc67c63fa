-- name: sending_add
insert into sending (invoice, recipient, what, at, why)
select id, ?, ?, ?, ? from invoice where number = ?;

-- name: sending_last
select s.recipient, s.what, s.at, s.why from sending s join invoice i on i.id = s.invoice
where i.number = ? order by s.id desc limit 1;

