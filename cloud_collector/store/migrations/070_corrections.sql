-- Invoices that were taken back in full, each by one credit note. A fact; the number stays used.
create table voided (
    invoice integer primary key references invoice (id),
    credit_note integer not null unique references invoice (id),
    reason text not null,
    by_whom text not null
);
--;
-- Invoices that replace one that was taken back. A fact: `plans_revision` prices the period from then on.
create table rebilled (
    contract text not null,
    period_start integer not null,
    invoice integer not null unique references invoice (id),
    voided integer not null unique references voided (invoice),
    plans_revision integer not null references catalog_revision (number),
    by_whom text not null,
    primary key (contract, period_start, invoice)
);
--;
-- What moved on an account beside its invoices: payments, credit that was set off, credit that was paid out. A fact.
-- `place` counts the account's entries from 1, so that two writers at once cannot both spend the same credit.
create table account_entry (
    account text not null,
    place integer not null check (place >= 1),
    what text not null check (what in ('payment', 'offset', 'pay_out')),
    invoice integer references invoice (id), -- what it settles; null: a pay-out
    credit_note integer references invoice (id), -- whose credit it uses; null: a payment
    currency text not null,
    amount text not null, -- a decimal above zero
    at integer not null, -- Unix seconds
    by_whom text not null,
    note text not null, -- a reference of the bank, or empty
    primary key (account, place),
    check ((invoice is null) = (what = 'pay_out')),
    check ((credit_note is null) = (what = 'payment'))
);
--;
create index account_entry_by_invoice on account_entry (invoice);
--;
create index account_entry_by_credit_note on account_entry (credit_note);
--;
create index credit_note_by_account on invoice (account) where kind = 'credit_note';
--;
create trigger voided_is_kept before delete on voided
begin select raise(abort, 'P16: a voided invoice stays voided'); end;
--;
create trigger voided_is_final before update on voided
begin select raise(abort, 'P16: a voided invoice stays voided'); end;
--;
create trigger rebilled_is_kept before delete on rebilled
begin select raise(abort, 'P16: what replaces an invoice is never forgotten'); end;
--;
create trigger rebilled_is_final before update on rebilled
begin select raise(abort, 'P16: what replaces an invoice is never changed'); end;
--;
create trigger account_entry_is_kept before delete on account_entry
begin select raise(abort, 'P16: an entry of an account is never deleted'); end;
--;
create trigger account_entry_is_final before update on account_entry
begin select raise(abort, 'P16: an entry of an account is never changed'); end;
