-- What customers ask for: when they want to be warned, and whom to tell. Facts; the last of a contract's counts.
create table wish (
    id integer primary key,
    contract text not null,
    budget text, -- null: none
    over_percents text not null, -- JSON list of decimal strings
    under_percents text not null,
    mail text not null, -- JSON list of addresses
    at integer not null, -- Unix milliseconds
    who text not null
);
--;
create index wish_by_contract on wish (contract, id);
--;
create trigger wish_is_kept before delete on wish
begin select raise(abort, 'what a customer asked for is never forgotten'); end;
--;
create trigger wish_is_final before update on wish
begin select raise(abort, 'what a customer asked for is never changed'); end;
--;
-- A line of an invoice that its customer says is wrong, and everything that was said of it since.
create table dispute (
    id integer primary key,
    account text not null,
    number text not null,
    place integer not null, -- the invoice's line, from 1; 0: the whole invoice
    amount text not null,
    evidence text not null, -- SHA-256 of the evidence bundle as it stood then, hex
    holds integer not null check (holds in (0, 1)), -- whether it verified then
    at integer not null, -- Unix milliseconds
    who text not null
);
--;
create index dispute_by_account on dispute (account, id);
--;
create index dispute_by_number on dispute (number, id);
--;
create table dispute_word (
    id integer primary key,
    dispute integer not null references dispute (id),
    what text not null check (what in ('opened', 'said', 'upheld', 'rejected', 'withdrawn')),
    said text not null,
    at integer not null, -- Unix milliseconds
    who text not null,
    side text not null check (side in ('customer', 'operator'))
);
--;
create index dispute_word_by_dispute on dispute_word (dispute, id);
--;
create trigger dispute_is_kept before delete on dispute
begin select raise(abort, 'a dispute is never forgotten'); end;
--;
create trigger dispute_is_final before update on dispute
begin select raise(abort, 'a dispute is never changed'); end;
--;
create trigger dispute_word_is_kept before delete on dispute_word
begin select raise(abort, 'what was said of a dispute is never forgotten'); end;
--;
create trigger dispute_word_is_final before update on dispute_word
begin select raise(abort, 'what was said of a dispute is never changed'); end;
--;
-- Somebody asked that the detail of an account's readings be deleted, and what became of it.
create table deletion (
    id integer primary key,
    account text not null,
    until text not null, -- a date, exclusive: detail before it
    at integer not null, -- Unix milliseconds
    who text not null
);
--;
create index deletion_by_account on deletion (account, id);
--;
create trigger deletion_is_kept before delete on deletion
begin select raise(abort, 'a request is never forgotten'); end;
--;
create trigger deletion_is_final before update on deletion
begin select raise(abort, 'a request is never changed'); end;
