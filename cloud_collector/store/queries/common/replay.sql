-- name: rebuild_clear_gone
delete from gone;

-- name: rebuild_clear_cover
delete from cover;

-- name: rebuild_clear_boot
delete from boot;

-- name: rebuild_clear_span
delete from span;

-- name: rebuild_clear_unknown
delete from unknown;

-- name: rebuild_clear_bad_row
delete from bad_row;

-- name: rebuild_clear_alarm
delete from alarm;

-- name: rebuild_clear_channel
delete from channel;

-- name: rebuild_reset_chain
update chain set through = 0, head = '', top = 0, asides = 0, gone = 0, born = 0, previous = null, previous_seq = null,
    previous_hash = null, standing = 'linked', rank = null, succeeded = null;

-- name: rebuild_reset_line
update line set aside = -1;

-- name: audit_gateways
select name, added_at from gateway order by name;

-- name: audit_chain
select * from chain order by id limit ? offset ?;

-- name: audit_line
select id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at, aside from line order by id limit ? offset ?;

-- name: audit_gone
select * from gone order by line limit ? offset ?;

-- name: audit_cover
select * from cover order by line, ordinal limit ? offset ?;

-- name: audit_boot
select * from boot order by gateway, log, boot limit ? offset ?;

-- name: audit_channel
select * from channel order by id limit ? offset ?;

-- name: audit_span
select * from span order by channel, chain, seq, kind limit ? offset ?;

-- name: audit_unknown
select * from unknown order by channel, chain, seq, kind limit ? offset ?;

-- name: audit_bad_row
select * from bad_row order by line, ordinal limit ? offset ?;

-- name: audit_alarm
select * from alarm order by line, kind limit ? offset ?;

-- name: audit_invoices
select i.id, i.number, i.series, i.ordinal, i.contract, i.account, i.kind, i.revision, i.currency, i.total, i.inputs,
    i.hash, i.line, a.invoice is not null
from invoice i left join invoice_archived a on a.invoice = i.id where i.id > ? order by i.id limit ?;

-- name: audit_bookings
select period_start, line from booking where invoice = ? order by place;

-- name: audit_series
select series, last from invoice_series order by series;

-- name: audit_line_spans
select c.device, c.meter, s.start, s.step, s.count, s.until, s.deltas from span s
join channel c on c.id = s.channel join chain h on h.id = s.chain
where h.gateway = ? and h.log = ? and h.epoch = ? and s.seq = ? and s.kind between 3 and 4 order by c.device, c.meter;

-- name: invoices_count
select count(*) from invoice;
