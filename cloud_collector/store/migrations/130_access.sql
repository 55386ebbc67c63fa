-- What was done, and who looked at whose data, whether on a page, over the API or on the command line. A fact.
create table trail (
    id integer primary key,
    at integer not null, -- Unix milliseconds
    who text not null,
    role text not null,
    means text not null check (means in ('session', 'token', 'local', 'command')),
    deed text not null,
    what text not null,
    account text not null -- whose data it was; empty: nobody's own
);
--;
create index trail_by_account on trail (account, id);
--;
create trigger trail_is_kept before delete on trail
begin select raise(abort, 'what was done is never forgotten'); end;
--;
create trigger trail_is_final before update on trail
begin select raise(abort, 'what was done is never changed'); end;
