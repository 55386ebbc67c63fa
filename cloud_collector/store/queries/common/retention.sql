-- name: letting_go_begin
insert into letting_go (at, who, request) values (?, ?, ?) returning id;

-- name: letting_go_account_add
insert into letting_go_account (deed, account, before) values (?, ?, ?);

-- name: letting_go_end
insert into letting_go_done (deed, at, lines)
select ?1, ?2, (select count(*) from let_go g where g.deed = ?1) returning lines;

-- name: let_go_until
-- Before when nothing is billed anew for an account.
select max(before) from letting_go_account where account = ?;

-- name: let_go_finished
select max(a.before) from letting_go_account a join letting_go_done e on e.deed = a.deed where a.account = ?;

-- name: let_go_deeds
select g.id, a.before, g.at, g.who, d.id, e.lines from letting_go_account a join letting_go g on g.id = a.deed
left join deletion d on d.id = g.request and d.account = a.account left join letting_go_done e on e.deed = g.id where a.account = ? order by g.id desc limit ?;

-- name: let_go_requests_done
select g.request, max(e.at) from letting_go g join letting_go_done e on e.deed = g.id
where g.request is not null group by g.request;

-- name: deletion_one
select id, account, until, at, who from deletion where id = ?;

-- name: let_go_put
insert into let_go (line, deed, start, until, lines) values (?, ?, ?, ?, ?);

-- name: let_go_row_put
insert into let_go_row (line, device, meter, unit, exponent, register, units) values (?, ?, ?, ?, ?, ?, ?);

-- name: let_go_rows
select device, meter, unit, exponent, register, units from let_go_row where line = ? order by device, meter;

-- name: let_go_line
update line set raw = ?, let_go = id where id = ?;

-- name: let_go_spans
delete from span where channel = ? and chain = ? and seq >= ? and seq <= ? and kind = 4;

-- name: let_go_invoice_put
insert into let_go_invoice (invoice, deed, lines) values (?, ?, ?) on conflict (invoice) do nothing;

-- name: let_go_invoice_of
select v.lines, g.at from let_go_invoice v join letting_go g on g.id = v.deed join invoice i on i.id = v.invoice
where i.number = ?;

-- name: let_go_between
-- Of a stretch of lines those whose bytes are gone: the first, the last, how many, and by which deed the newest went.
select min(l.seq), max(l.seq), count(*), max(g.deed) from line l join chain c on c.id = l.chain join let_go g on g.line = l.let_go
where c.gateway = ? and c.log = ? and c.epoch = ? and l.seq between ? and ? and l.aside = 0;

-- name: let_go_deed
select g.at, d.id, a.account, a.before from letting_go g join letting_go_account a on a.deed = g.id
left join deletion d on d.id = g.request and d.account = a.account where g.id = ? order by a.account;

-- name: let_go_count
select count(*) from let_go;

-- name: retention_chains
select c.id, c.log, c.epoch, c.through from chain c
where c.gateway = ? and c.standing not in ('cloned', 'disowned') order by c.id;

-- name: retention_lines
select l.id, l.seq, l.received_at, l.raw,
    l.kind = 'usage' and l.clock in ('S', 'I') and l.let_go is null
    and not exists (select 1 from disowned d where d.line = l.id)
    and not exists (select 1 from bad_row b where b.line = l.id)
    and not exists (select 1 from alarm a where a.line = l.id)
    and exists (select 1 from leaf f where f.origin in (select distinct k.origin from checkpoint k) and f.line = l.id)
from line l where l.chain = ? and l.seq >= ? and l.seq <= ? and l.aside = 0 order by l.seq limit ?;

-- name: retention_spans
select seq, start, until, register, register_end,
    kind = 4 and start is not null and estimated is null and reason is null and withheld = 0 and ragged = 0
    and cloned = 0 and folded is null
from span where channel = ? and chain = ? and seq between ? and ? order by seq, kind;

-- name: retention_unknown
select distinct seq from unknown where chain = ? order by seq;

-- name: retention_invoices
select id, number, contract, account, period_start, period_end, line from invoice where id > ? order by id limit ?;

-- name: retention_disputed
-- Invoices of which a dispute is open, or was upheld and nothing credited yet.
select distinct d.number from dispute d where coalesce((
    select w.what from dispute_word w where w.dispute = d.id and w.what in ('upheld', 'rejected', 'withdrawn')
    order by w.id desc limit 1), 'open') in ('open', 'upheld')
and not exists (select 1 from voided v join invoice o on o.id = v.invoice where o.number = d.number)
order by d.number;

-- name: retention_state
-- What decides what may go; where this is another figure than before, everything is looked at again.
select (select coalesce(max(id), 0) from dispute), (select coalesce(max(id), 0) from dispute_word),
    (select coalesce(max(id), 0) from invoice), (select coalesce(max(number), 0) from catalog_revision),
    (select count(*) from voided), (select count(*) from disowned), (select count(*) from parked);

-- name: activated
select distinct device from activation_used where contract = ?;

-- name: bookings_since
select i.number, b.line from booking b join invoice i on i.id = b.invoice
where b.contract = ? and b.period_start >= ? order by b.invoice, b.place;

-- name: retention_disputed_of
select distinct i.number, i.period_start from invoice i join dispute d on d.number = i.number
where i.contract = ? and coalesce((
    select w.what from dispute_word w where w.dispute = d.id and w.what in ('upheld', 'rejected', 'withdrawn')
    order by w.id desc limit 1), 'open') in ('open', 'upheld')
and not exists (select 1 from voided v where v.invoice = i.id)
order by i.number;

-- name: let_go_reach
select reach from span where channel = ? and chain = ? and seq = ? and kind = 4;

-- name: let_go_accounts
select distinct account from letting_go_account order by account;

-- name: let_go_stretches
-- Each stretch that went, with the signed lines on both of its sides.
select g.line, c.gateway, c.log, c.epoch, l.seq, g.start, g.until, g.lines, b.raw, a.raw
from let_go g join line l on l.id = g.line join chain c on c.id = l.chain
left join line b on b.chain = l.chain and b.seq = l.seq - g.lines and b.aside = 0
left join line a on a.chain = l.chain and a.seq = l.seq + 1 and a.aside = 0
where g.lines is not null and g.line > ? order by g.line limit ?;
