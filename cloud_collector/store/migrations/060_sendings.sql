-- What became of e-mails with invoices. Facts: `begun` is written before the server is spoken to, one of the others after;
-- an e-mail that was begun and has no other may or may not have left.
create table sending (
    id integer primary key,
    invoice integer not null references invoice (id),
    recipient text not null,
    what text not null check (what in ('begun', 'sent', 'refused', 'unclear')),
    at integer not null, -- Unix milliseconds
    why text not null -- the server's answer where it refused, else empty
);
--;
create index sending_by_invoice on sending (invoice, id);
--;
create trigger sending_is_kept before delete on sending
begin select raise(abort, 'what was sent is never forgotten'); end;
--;
create trigger sending_is_final before update on sending
begin select raise(abort, 'what was sent is never changed'); end;
