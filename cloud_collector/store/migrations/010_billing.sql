-- Catalog revisions, byte for byte as they were applied. A fact.
create table catalog_revision (
    number integer primary key,
    sha256 text not null,
    applied_at integer not null, -- Unix milliseconds
    effective_at integer not null, -- Unix seconds: plans of it rate periods that begin at or after this
    content blob not null
);
--;
-- The last number given out in a series. Updated in the issuing transaction alone, so that numbers have no gaps.
create table invoice_series (
    series text primary key,
    last integer not null check (last >= 0)
);
--;
-- What was issued. A fact: `line` is the sealed MI1 line that the customer gets.
create table invoice (
    id integer primary key,
    number text not null unique,
    series text not null references invoice_series (series),
    ordinal integer not null,
    contract text not null,
    account text not null,
    period_start integer not null, -- Unix seconds
    period_end integer not null,
    kind text not null check (kind in ('regular', 'adjustment', 'credit_note')),
    revision integer not null check (revision >= 1),
    currency text not null,
    total text not null,
    issued_at integer not null, -- Unix seconds
    inputs text not null, -- SHA-256 over what it was rated from
    hash text not null unique, -- of the line
    line blob not null,
    unique (series, ordinal),
    -- P14
    unique (contract, period_start, kind, revision)
);
--;
create index invoice_by_contract on invoice (contract, period_start);
--;
-- What an invoice line took from a key of the ledger; `amount` is a decimal in the invoice's currency.
create table booking (
    invoice integer not null references invoice (id),
    place integer not null,
    contract text not null,
    period_start integer not null, -- the billing period that was rated, not always the invoice's own
    charge text not null,
    kind text not null,
    device text not null, -- empty: the contract's
    part text not null, -- the charge's window, or empty
    segment_start integer not null,
    line text not null, -- the invoice line as printed, as JSON
    primary key (invoice, place)
) without rowid;
--;
create index booking_by_period on booking (contract, period_start);
--;
-- When a device began to be billed, as an invoice has stated it (P18). A later statement is another row.
create table activation_used (
    invoice integer not null references invoice (id),
    contract text not null,
    device text not null, -- empty: the contract
    at integer not null, -- Unix seconds
    rule text not null,
    why text not null,
    primary key (invoice, device)
) without rowid;
--;
-- A billing period that has been closed, with an invoice or with nothing to bill. A fact.
create table period_closed (
    contract text not null,
    period_start integer not null,
    period_end integer not null,
    closed_at integer not null, -- Unix seconds
    invoice integer references invoice (id), -- null: no lines, no invoice
    plans_revision integer not null references catalog_revision (number),
    primary key (contract, period_start)
) without rowid;
--;
-- Contracts that a run could not bill, and why (P19). A projection: each run says it anew.
create table parked (
    contract text primary key,
    period_start integer not null,
    reason text not null,
    since integer not null -- Unix seconds
) without rowid;
--;
-- Invoices whose file in the append-only folder is known to be on disk.
create table invoice_archived (
    invoice integer primary key references invoice (id)
);
--;
create trigger catalog_revision_is_kept before delete on catalog_revision
begin select raise(abort, 'P16: a catalog revision is never deleted'); end;
--;
create trigger catalog_revision_is_final before update on catalog_revision
begin select raise(abort, 'P16: a catalog revision is never changed'); end;
--;
create trigger invoice_is_kept before delete on invoice
begin select raise(abort, 'P16: an issued invoice is never deleted'); end;
--;
create trigger invoice_is_final before update on invoice
begin select raise(abort, 'P16: an issued invoice is never changed'); end;
--;
create trigger booking_is_kept before delete on booking
begin select raise(abort, 'P16: a booking is never deleted'); end;
--;
create trigger booking_is_final before update on booking
begin select raise(abort, 'P16: a booking is never changed'); end;
--;
create trigger activation_used_is_kept before delete on activation_used
begin select raise(abort, 'P16: an activation on an invoice is never deleted'); end;
--;
create trigger activation_used_is_final before update on activation_used
begin select raise(abort, 'P16: an activation on an invoice is never changed'); end;
--;
create trigger period_closed_is_kept before delete on period_closed
begin select raise(abort, 'P16: a closed period is never reopened'); end;
--;
create trigger period_closed_is_final before update on period_closed
begin select raise(abort, 'P16: a closed period is never changed'); end;
--;
create trigger invoice_series_is_kept before delete on invoice_series
begin select raise(abort, 'P16: a series of numbers is never deleted'); end;
--;
create trigger invoice_series_counts_by_one before update on invoice_series
when new.series <> old.series or new.last <> old.last + 1
begin select raise(abort, 'P16: numbers are given out one after the other'); end;
