-- name: backup_marks
select (select coalesce(max(id), 0) from line),
       (select count(*) from gateway_key),
       (select coalesce(max(number), 0) from catalog_revision),
       (select coalesce(max(id), 0) from invoice),
       (select count(*) from period_closed),
       (select count(*) from command),
       (select count(*) from revocation) + (select count(*) from adoption),
       (select count(*) from sending);

-- name: backup_schema
select max(version) from migration;

-- name: series_all
select series, last from invoice_series order by series;

-- name: restoration_add
insert into restoration (restored_at, made_at, backup) values (?, ?, ?);

-- name: restoration_open
select r.id, r.restored_at, r.made_at from restoration r
where not exists (select 1 from restoration_confirmed c where c.restoration = r.id) order by r.id desc limit 1;

-- name: restorations_unconfirmed
select r.id from restoration r
where not exists (select 1 from restoration_confirmed c where c.restoration = r.id) order by r.id;

-- name: restorations_count
select count(*) from restoration;

-- name: restoration_confirm
insert into restoration_confirmed (restoration, confirmed_at, told) values (?, ?, ?);

-- name: archive_unknown
delete from invoice_archived;

-- name: period_close_again
insert into period_closed (contract, period_start, period_end, closed_at, invoice, plans_revision)
values (?, ?, ?, ?, ?, ?) on conflict (contract, period_start) do nothing;

-- name: sending_unclear
insert into sending (invoice, recipient, what, at, why) values (?, ?, 'unclear', ?, ?);

-- name: catalog_revisions_whole
select number, sha256, effective_at, content, applied_at from catalog_revision order by number;

-- name: invoice_numbers
select number from invoice order by id;

-- name: voided_unreplaced
select v.invoice from voided v join invoice i on i.id = v.invoice
where i.contract = ? and i.period_start = ? and not exists (select 1 from rebilled r where r.voided = v.invoice)
order by v.invoice desc limit 1;
