-- Logs of usage that programs send over HTTP: gateways of the collector's own, each of one account, whose key the
-- operator holds. Where the log stands is what its lines say; the row is locked by whoever adds to it.
create table ingest_log (
    gateway text primary key references gateway (name),
    account text not null,
    opened_at integer not null, -- Unix milliseconds
    opened_by text not null,
    epoch text not null,
    boot text not null,
    begun_at integer not null, -- when the epoch was drawn, Unix milliseconds
    seq integer not null, -- of the last line sealed; 0: none yet
    prev text not null, -- its hash
    former text not null, -- the last position of the epoch before, as epoch,seq,hash; empty: none
    stated integer not null check (stated in (0, 1)), -- whether a birth of this epoch states every channel
    frontier integer not null, -- Unix seconds; windows before it are sealed
    waiting integer not null -- events that are not sealed yet
) without rowid;
--;
create table ingest_meter (
    gateway text not null references ingest_log (gateway),
    meter text not null,
    unit text not null,
    exponent integer not null,
    primary key (gateway, meter)
) without rowid;
--;
create table ingest_channel (
    gateway text not null references ingest_log (gateway),
    device text not null,
    meter text not null,
    register integer not null, -- up to the frontier
    promised integer not null, -- with what waits
    primary key (gateway, device, meter)
) without rowid;
--;
-- Each event that was taken. A fact: under the same source and id no other is ever taken.
create table ingest_event (
    gateway text not null references ingest_log (gateway),
    source text not null,
    id text not null,
    device text not null,
    meter text not null,
    at integer not null, -- when it was used, Unix nanoseconds
    units integer not null, -- of the meter's unit and exponent
    placed integer not null, -- the interval in which it is counted, Unix seconds
    late integer not null check (late in (0, 1)), -- whether its own was sealed already
    received_at integer not null, -- Unix milliseconds
    who text not null,
    primary key (gateway, source, id)
) without rowid;
--;
create index ingest_event_placed on ingest_event (gateway, placed);
--;
create trigger ingest_event_is_kept before delete on ingest_event
begin select raise(abort, 'an event that was taken is never forgotten'); end;
--;
create trigger ingest_event_is_final before update on ingest_event
begin select raise(abort, 'an event that was taken is never changed'); end;
--;
-- Sealed lines on their way into intake; one leaves when a receipt says that it is held.
create table ingest_outbox (
    gateway text not null references ingest_log (gateway),
    epoch text not null,
    seq integer not null,
    raw blob not null,
    primary key (gateway, epoch, seq)
) without rowid;
