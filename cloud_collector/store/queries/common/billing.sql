-- name: series_open
insert into invoice_series (series, last) values (?, 0) on conflict (series) do nothing;

-- name: series_next
update invoice_series set last = last + 1 where series = ? returning last;

-- name: invoice_add
insert into invoice (
    number, series, ordinal, contract, account, period_start, period_end, kind, revision, currency, total, issued_at,
    inputs, hash, line
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id;

-- name: invoice_revisions
select count(*) from invoice where contract = ? and period_start = ? and kind = ?;

-- name: booking_add
insert into booking (
    invoice, place, contract, period_start, charge, kind, device, part, segment_start, line
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: bookings_of_contract
select i.number, b.line from booking b join invoice i on i.id = b.invoice
where b.contract = ? order by b.invoice, b.place;

-- name: activation_add
insert into activation_used (invoice, contract, device, at, rule, why) values (?, ?, ?, ?, ?, ?);

-- name: activations_used
select invoice, device, at, rule, why from activation_used where contract = ? order by invoice, device;

-- name: starts_stated
select i.number, a.device, a.at, a.rule, a.why from activation_used a join invoice i on i.id = a.invoice
where a.contract = ? order by a.invoice, a.device;

-- name: first_start_used
select min(at) from activation_used
where contract = ? and invoice = (select min(invoice) from activation_used where contract = ?);

-- name: period_close
insert into period_closed (contract, period_start, period_end, closed_at, invoice, plans_revision)
values (?, ?, ?, ?, ?, ?);

-- name: periods_closed
select p.period_start, p.period_end, p.closed_at, p.invoice, coalesce((
    select r.plans_revision from rebilled r
    where r.contract = p.contract and r.period_start = p.period_start order by r.invoice desc limit 1
), p.plans_revision), p.plans_revision
from period_closed p where p.contract = ? order by p.period_start;

-- name: invoices_not_archived
select i.id, i.number, i.line from invoice i left join invoice_archived a on a.invoice = i.id
where a.invoice is null order by i.id;

-- name: invoice_is_archived
insert into invoice_archived (invoice) values (?) on conflict (invoice) do nothing;

-- name: invoice_known
select 1 from invoice where number = ?;

-- name: invoice_line
select id, line from invoice where number = ?;

-- name: invoices
select number, kind, contract, account, period_start, period_end, currency, total, issued_at, revision
from invoice order by id;

-- name: invoices_between
select line from invoice where issued_at >= ? and issued_at < ? order by id;

-- name: park
insert into parked (contract, period_start, reason, since) values (?, ?, ?, ?)
on conflict (contract) do update set period_start = excluded.period_start, reason = excluded.reason,
    since = case when parked.reason = excluded.reason then parked.since else excluded.since end;

-- name: unpark
delete from parked where contract = ?;

-- name: is_parked
select reason from parked where contract = ?;

-- name: parked
select contract, period_start, reason, since from parked order by contract;

-- name: received_chains
select id, epoch, through, top, gone from chain where gateway = ? and log = ? and standing not in ('cloned', 'disowned')
order by rank is null, rank, epoch;

-- name: received_from
select min(seq) from line where chain = ? and aside = 0 and seq > ?;

-- name: received_holes
select seq + 1, after - 1 from (
    select seq, lead(seq) over (order by seq) as after from line where chain = ? and aside = 0 and seq > ?
) between_two where after > seq + 1 order by seq;

-- name: received_moved
select s.seq, l.received_at from span s join line l on l.id = s.line
where s.chain = ? and s.seq <= ? and (s.seq >= ? or s.kind <= 2) and s.until = l.received_at / 1000 and s.folded is null
and (s.kind <= 2 or s.estimated is not null) and (s.kind <= 2 or (s.kind in (3, 4) and s.estimated = '*'))
union
select u.seq, l.received_at from unknown u join line l on l.id = u.line
where u.chain = ? and u.seq <= ? and u.kind = 3 and u.until = l.received_at / 1000 order by 1;

-- name: basis_clocks
select h.epoch, min(c.seq) from line l
join chain h on h.gateway = ? and h.log = ? and h.standing <> 'cloned'
join line c on c.chain = h.id and c.boot = l.boot and c.kind = 'clock' and c.aside = 0
where l.chain = ? and l.aside = 0 and l.clock in ('R', 'U') and l.seq <= ? group by h.id, l.boot order by 1, 2;

-- name: basis_bridge
select 1 from span where channel = ? and chain = ? and seq = ? and kind = 5;

-- name: basis_carried
select 1 from span where channel = ? and chain = ? and kind >= 5 and kind = 6
union all select 1 from unknown where channel = ? and chain = ? and kind = 6 limit 1;

-- name: basis_device
select c.meter, c.id,
    exists (select 1 from span s where s.channel = c.id and s.kind >= 5)
    or exists (select 1 from unknown u where u.channel = c.id and u.kind = 6),
    exists (select 1 from unknown u where u.channel = c.id)
from channel c where c.gateway = ? and c.device = ?;

-- name: basis_unknown
select c.id, c.log, c.epoch, u.seq, u.kind from unknown u join chain c on c.id = u.chain
where u.channel = ? and u.start < ? and u.until > ? order by c.log, c.epoch, u.seq;

-- name: basis_chains
select id, epoch from chain where gateway = ? and log = ? and rank is not null order by rank;

-- name: received_boots
select distinct b.boot, b.shift from line l join boot b on b.gateway = ? and b.log = ? and b.boot = l.boot
where l.chain = ? and l.aside = 0 and l.clock in ('R', 'U') and l.seq <= ? and b.estimated = 1 and b.shift is not null
order by b.boot;

-- name: received_disowned
select l.seq from disowned d join line l on l.id = d.line where d.chain = ? and l.aside = 0 order by l.seq;

-- name: evidence_lines
select l.seq, l.raw from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.aside = 0 and l.seq between ? and ? order by l.seq;

-- name: evidence_marks
select l.seq, l.raw from line l join chain c on c.id = l.chain
where c.gateway = ? and c.log = ? and c.epoch = ? and l.aside = 0 and l.seq <= ?
and (l.kind = 'clock' or (l.kind in ('birth', 'exchange', 'rotate') and l.seq <= ?)) order by l.seq;

-- name: evidence_rotations
select c.epoch, l.seq, r.old, r.key, l.raw from rotation r join chain c on c.id = r.chain join line l on l.id = r.line
where c.gateway = ? and c.log = ? and not exists (select 1 from disowned d where d.line = r.line) order by c.epoch, l.seq;

-- name: evidence_keys
select key, public from gateway_key where gateway = ?1
union select r.key, r.public from rotation r join chain c on c.id = r.chain where c.gateway = ?1;

-- name: periods_closed_all
select p.contract, p.period_start, p.period_end, p.closed_at, i.number
from period_closed p left join invoice i on i.id = p.invoice order by p.contract, p.period_start;

-- name: too_late_known
select charge, kind, device, part, segment_start, line from too_late where contract = ? order by id;

-- name: too_late_add
insert into too_late (contract, period_start, charge, kind, device, part, segment_start, line, seen_at)
values (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: too_late_all
select contract, period_start, charge, line, seen_at from too_late where id in (
    select max(id) from too_late group by contract, charge, kind, device, part, segment_start
) and line is not null order by contract, segment_start, id;

-- name: contracts_billed
select p.contract, p.plans_revision from period_closed p where p.period_start = (
    select max(period_start) from period_closed o where o.contract = p.contract
) order by p.contract;

-- name: catalog_content
select content from catalog_revision where number = ?;

-- name: contract_begin
savepoint contract;

-- name: contract_back
rollback to savepoint contract;

-- name: contract_end
release savepoint contract;
