-- Facts of operating: stores put back from a backup, and the word of an operator that the last numbers given out are
-- known; until then nothing is billed (P22).
create table restoration (
    id integer primary key,
    restored_at integer not null, -- Unix milliseconds
    made_at integer not null, -- when the backup was made
    backup text not null -- SHA-256 of its manifest
)
--;
create table restoration_confirmed (
    restoration integer primary key references restoration (id),
    confirmed_at integer not null,
    told text not null -- as JSON: the last number of each series, and those that are given up
)
--;
create trigger restoration_kept before delete on restoration begin select raise(abort, 'a restoration is never forgotten'); end
--;
create trigger restoration_confirmed_kept before delete on restoration_confirmed
begin select raise(abort, 'a confirmation is never taken back'); end
--;
-- Alarms of operation, each from when until when; one at a time of a kind and place. `gateway` and `part` are empty where
-- the alarm is about everything.
create table incident (
    id integer primary key,
    kind text not null,
    gateway text not null,
    part text not null,
    text text not null,
    begun_at integer not null, -- Unix milliseconds
    ended_at integer,
    begin_told_at integer,
    end_told_at integer
)
--;
create unique index incident_open on incident (kind, gateway, part) where ended_at is null
--;
create index incident_begun on incident (begun_at)
--;
create trigger incident_kept before delete on incident begin select raise(abort, 'an alarm is never forgotten'); end
--;
-- Since when the collector has been able to hear its gateways, and when it last could. One row.
create table hearing (
    one integer primary key check (one = 1),
    since integer not null,
    until integer not null
)
--;
-- What operators did: by whom, when, and with which words. A fact.
create table operator_action (
    id integer primary key,
    at integer not null, -- Unix milliseconds
    who text not null,
    what text not null,
    outcome text not null
)
--;
create trigger operator_action_kept before delete on operator_action
begin select raise(abort, 'what an operator did is never forgotten'); end
--;
create trigger operator_action_final before update on operator_action
begin select raise(abort, 'what an operator did is never changed'); end
--;
-- The log that checkpoints sign: what became a leaf, at which place; hashes of whole subtrees of 256, 65,536 … leaves, so
-- that proofs stay cheap; and the sealed checkpoints themselves. Facts.
create table leaf (
    origin text not null,
    place integer not null, -- from 0
    line integer, -- of the three one
    invoice integer,
    checkpoint integer,
    hash blob not null check (length(hash) = 32),
    primary key (origin, place)
) without rowid
--;
create unique index leaf_line on leaf (origin, line) where line is not null
--;
create unique index leaf_invoice on leaf (origin, invoice) where invoice is not null
--;
create table subtree (
    origin text not null,
    level integer not null, -- of 2^level leaves
    place integer not null,
    hash blob not null check (length(hash) = 32),
    primary key (origin, level, place)
) without rowid
--;
create table checkpoint (
    id integer primary key,
    origin text not null,
    size integer not null,
    root text not null,
    at integer not null, -- Unix seconds
    hash text not null unique,
    line blob not null,
    unique (origin, size)
)
--;
create trigger leaf_kept before delete on leaf begin select raise(abort, 'P11: a leaf is never taken out'); end
--;
create trigger leaf_final before update on leaf begin select raise(abort, 'P11: a leaf is never changed'); end
--;
create trigger checkpoint_kept before delete on checkpoint begin select raise(abort, 'P11: a checkpoint is never deleted'); end
--;
create trigger checkpoint_final before update on checkpoint begin select raise(abort, 'P11: a checkpoint is never changed'); end
