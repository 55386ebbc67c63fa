-- Operator actions: what was asked of gateways, what was sent and what they answered. `counter` rises for each gateway.
-- `sealed` is kept where the command was sealed when it was given, under a key that the running collector lacks.
create table command (
    gateway text not null references gateway (name),
    counter integer not null,
    "do" text not null,
    details text not null,
    given_at integer not null,
    sealed blob,
    sendings integer not null default 0,
    due_at integer not null,
    answered_at integer,
    ok integer,
    why text,
    answer blob,
    primary key (gateway, counter)
) without rowid
--;
create index command_open on command (due_at) where answered_at is null
--;
create trigger command_kept before delete on command begin select raise(abort, 'an operator action is never deleted'); end
--;
-- Which receipt key each gateway has confirmed that it trusts; where there is no row, the first.
create table receipt_trust (
    gateway text primary key references gateway (name),
    key text not null,
    at integer not null
) without rowid
