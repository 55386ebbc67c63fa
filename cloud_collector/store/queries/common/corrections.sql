-- name: invoice_to_void
select i.id, i.contract, i.account, i.period_start, i.period_end, i.kind, i.currency, i.total, i.inputs, i.hash, i.line
from invoice i where i.number = ?;

-- name: bookings_of_invoice
select place, contract, period_start, charge, kind, device, part, segment_start, line from booking
where invoice = ? order by place;

-- name: void_add
insert into voided (invoice, credit_note, reason, by_whom) values (?, ?, ?, ?);

-- name: voided_by
select c.number, v.reason, v.by_whom, c.issued_at from voided v join invoice c on c.id = v.credit_note
where v.invoice = ?;

-- name: voids
select o.number from voided v join invoice o on o.id = v.invoice where v.credit_note = ?;

-- name: rebill_add
insert into rebilled (contract, period_start, invoice, voided, plans_revision, by_whom) values (?, ?, ?, ?, ?, ?);

-- name: rebilled_by
select i.number from rebilled r join invoice i on i.id = r.invoice where r.voided = ?;

-- name: corrections_all
select o.number, c.number, v.reason, v.by_whom, n.number from voided v
join invoice o on o.id = v.invoice join invoice c on c.id = v.credit_note
left join rebilled r on r.voided = v.invoice left join invoice n on n.id = r.invoice order by c.id;

-- name: account_entry_next
select coalesce(max(place), 0) + 1 from account_entry where account = ?;

-- name: account_entry_add
insert into account_entry (account, place, what, invoice, credit_note, currency, amount, at, by_whom, note)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: credits_of_account
select i.id, i.number, i.total, e.amount from invoice i left join account_entry e on e.credit_note = i.id
where i.account = ? and i.currency = ? and i.kind = 'credit_note' order by i.id, e.place;

-- name: credits_all
select i.account, i.currency, i.number, i.contract, i.issued_at, i.total, e.what, e.amount, t.number from invoice i
left join account_entry e on e.credit_note = i.id left join invoice t on t.id = e.invoice
where i.kind = 'credit_note' order by i.account, i.id, e.place;

-- name: entries_of_document
select e.what, t.number, c.number, e.amount, e.at, e.by_whom, e.note from account_entry e
left join invoice t on t.id = e.invoice left join invoice c on c.id = e.credit_note
where e.invoice = ?1 or e.credit_note = ?1 order by e.account, e.place;

-- name: entries_all
select coalesce(invoice, credit_note), invoice, credit_note, amount from account_entry order by account, place;

-- name: document_row
select id, number, account, kind, currency, total, contract from invoice where number = ?;

-- name: documents_standing
select i.number, i.kind, i.total, v.credit_note is not null, i.id from invoice i
left join voided v on v.invoice = i.id order by i.id;

-- name: bookings_until
select i.number, b.line from booking b join invoice i on i.id = b.invoice
where b.contract = ? and b.period_start <= ? and b.period_start >= ? order by b.invoice, b.place;
