-- Thresholds that fired, and what withdrew them. Facts, in their order; the last of a threshold's is how it stands.
create table warning (
    id integer primary key,
    contract text not null,
    account text not null,
    period_start integer not null, -- Unix seconds
    period_end integer not null,
    against text not null check (against in ('budget', 'commitment', 'normal')),
    side text not null check (side in ('over', 'under')),
    way text not null check (way in ('actual', 'projected')),
    percent text not null,
    turn integer not null, -- 1 is the first firing, 2 its withdrawal, 3 a second firing
    what text not null check (what in ('fired', 'withdrawn')),
    at integer not null, -- Unix milliseconds
    figure text not null,
    threshold text not null, -- what the figure was held against
    unit text not null,
    said text not null,
    check ((what = 'fired') = (turn % 2 = 1)),
    unique (contract, period_start, against, side, way, percent, turn)
);
--;
create index warning_by_account on warning (account, id);
--;
create trigger warning_is_kept before delete on warning
begin select raise(abort, 'a warning is never forgotten'); end;
--;
create trigger warning_is_final before update on warning
begin select raise(abort, 'a warning is never changed'); end;
--;
-- Where webhooks go. Their secrets lie in files beside the store, not in it.
create table webhook (
    name text primary key,
    url text not null,
    account text not null, -- empty: every account's
    added_at integer not null, -- Unix milliseconds
    stopped_at integer, -- since when nothing is sent to it
    stopped_why text not null default ''
) without rowid;
--;
-- A warning on its way to someone: one row a way and address. A projection of what was tried.
create table delivery (
    id integer primary key,
    warning integer not null references warning (id),
    way text not null check (way in ('email', 'webhook', 'mqtt')),
    target text not null, -- an address, a webhook's name, a gateway
    state text not null check (state in ('due', 'delivered', 'given_up')),
    attempts integer not null,
    next_at integer not null, -- Unix milliseconds
    unique (warning, way, target)
);
--;
create index delivery_due on delivery (state, next_at);
--;
-- Each time that something was sent, and what came of it. A fact.
create table delivery_attempt (
    id integer primary key,
    delivery integer not null references delivery (id),
    at integer not null, -- Unix milliseconds
    ok integer not null check (ok in (0, 1)),
    why text not null
);
--;
create index delivery_attempt_by_delivery on delivery_attempt (delivery, id);
--;
create trigger delivery_attempt_is_kept before delete on delivery_attempt
begin select raise(abort, 'what was tried is never forgotten'); end;
--;
create trigger delivery_attempt_is_final before update on delivery_attempt
begin select raise(abort, 'what was tried is never changed'); end;
