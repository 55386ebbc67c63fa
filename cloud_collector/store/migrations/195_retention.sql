-- Detail that was deleted as agreed (keep_detail), or as somebody asked. Facts: a line keeps its position, hash and key.
-- A deed: from `letting_go` on nothing before `before` is billed anew for the account, whether the deed ends or not.
create table letting_go (
    id integer primary key,
    at integer not null, -- Unix milliseconds
    who text not null,
    request integer references deletion (id) -- null: as agreed
);
--;
create table letting_go_account (
    deed integer not null references letting_go (id),
    account text not null,
    before integer not null, -- Unix seconds: detail of what ended before or then
    primary key (deed, account)
) without rowid;
--;
create index letting_go_by_account on letting_go_account (account, deed);
--;
create table letting_go_done (
    deed integer primary key references letting_go (id),
    at integer not null, -- Unix milliseconds
    lines integer not null
);
--;
-- A line whose bytes are gone. The last line of a stretch says what the stretch came to; `lines` is how many it had.
create table let_go (
    line integer primary key,
    deed integer not null references letting_go (id),
    start integer, -- Unix seconds; null but in the last line of a stretch
    until integer,
    lines integer
);
--;
create table let_go_row (
    line integer not null references let_go (line),
    device text not null,
    meter text not null,
    unit text not null,
    exponent integer not null,
    register integer not null,
    units integer not null,
    primary key (line, device, meter)
) without rowid;
--;
-- An invoice that followed from all of its lines, to the letter, before the first of them went.
create table let_go_invoice (
    invoice integer primary key references invoice (id),
    deed integer not null references letting_go (id),
    lines integer not null -- that it rested on
);
--;
-- Deferred, so that a whole store can be copied in the order of its tables.
alter table line add column let_go integer references let_go (line) deferrable initially deferred
--;
drop trigger line_unchanged /* on line */
--;
create trigger line_unchanged before update of id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at
on line begin select raise(abort, 'a line is never changed'); end
--;
-- P16: only a row of let_go lets bytes go, in the same statement, all of them, and once.
create trigger line_bytes_unchanged before update of raw on line when length(new.raw) > 0 or new.let_go is null
begin select raise(abort, 'a line is never changed: its bytes go with its row of let_go, or stay'); end
--;
create trigger line_let_go_once before update of let_go on line
when old.let_go is not null or new.let_go is null or new.let_go <> new.id or length(new.raw) > 0
begin select raise(abort, 'a line is let go once, by its own row of let_go, and with all of its bytes'); end
--;
create trigger letting_go_is_kept before delete on letting_go
begin select raise(abort, 'what was deleted is never forgotten'); end;
--;
create trigger letting_go_is_final before update on letting_go
begin select raise(abort, 'what was deleted is never said otherwise'); end;
--;
create trigger letting_go_account_is_kept before delete on letting_go_account
begin select raise(abort, 'what was deleted is never forgotten'); end;
--;
create trigger letting_go_account_is_final before update on letting_go_account
begin select raise(abort, 'what was deleted is never said otherwise'); end;
--;
create trigger letting_go_done_is_kept before delete on letting_go_done
begin select raise(abort, 'what was deleted is never forgotten'); end;
--;
create trigger letting_go_done_is_final before update on letting_go_done
begin select raise(abort, 'what was deleted is never said otherwise'); end;
--;
create trigger let_go_is_kept before delete on let_go
begin select raise(abort, 'what was deleted is never forgotten'); end;
--;
create trigger let_go_is_final before update on let_go
begin select raise(abort, 'what was deleted is never said otherwise'); end;
--;
create trigger let_go_row_is_kept before delete on let_go_row
begin select raise(abort, 'what is left of deleted detail is never forgotten'); end;
--;
create trigger let_go_row_is_final before update on let_go_row
begin select raise(abort, 'what is left of deleted detail is never changed'); end;
--;
create trigger let_go_invoice_is_kept before delete on let_go_invoice
begin select raise(abort, 'what was proven before a deletion is never forgotten'); end;
--;
create trigger let_go_invoice_is_final before update on let_go_invoice
begin select raise(abort, 'what was proven before a deletion is never changed'); end;
