-- Facts: gateway, gateway_key, line (but for its column aside). Everything else that is written here
-- follows from them and is recomputed by `rebuild`, but for what arrival alone knows: unmatched, refused,
-- refusals, receipt_clock, aside_seen. Times end in _at and are milliseconds, or are whole UTC seconds.
create table gateway (
    name text primary key,
    added_at integer not null
)
--;
-- A key is valid in its gateway's lines from `first` to `last` of (log, epoch); empty names mean all.
create table gateway_key (
    gateway text not null references gateway (name),
    key text not null,
    public blob not null check (length(public) = 32),
    log text not null default '',
    epoch text not null default '',
    first integer not null default 1,
    last integer,
    added_at integer not null,
    primary key (gateway, key, log, epoch)
)
--;
create table chain (
    id integer primary key,
    gateway text not null references gateway (name),
    log text not null,
    epoch text not null,
    through integer not null default 0,
    head text not null default '',
    top integer not null default 0,
    asides integer not null default 0,
    gone integer not null default 0,
    born integer not null default 0,
    previous text,
    previous_seq integer,
    previous_hash text,
    standing text not null default 'linked',
    rank integer,
    succeeded integer,
    unique (gateway, log, epoch)
)
--;
create index chain_holes on chain (id) where through < top
--;
-- aside: 0 holds its position; 1 lost it to another line; 2 contradicts the chain; -1 not yet replayed.
create table line (
    id integer primary key,
    chain integer not null references chain (id),
    seq integer not null check (seq >= 1),
    hash text not null,
    prev text not null,
    key text not null,
    kind text not null,
    boot text not null,
    clock text not null,
    sealed integer not null,
    received_at integer not null,
    aside integer not null default 0,
    raw blob not null
)
--;
-- P5: one line a position, whatever the program does.
create unique index line_position on line (chain, seq) where aside = 0
--;
create index line_aside on line (chain, seq) where aside <> 0
--;
create index line_unplaced on line (chain, boot, seq) where clock in ('R', 'U')
--;
create index line_clock on line (chain, boot, seq) where kind = 'clock'
--;
create trigger line_kept before delete on line begin select raise(abort, 'a line is never deleted'); end
--;
create trigger line_unchanged before update of id, chain, seq, hash, prev, key, kind, boot, clock, sealed, received_at, raw
on line begin select raise(abort, 'a line is never changed'); end
--;
create table aside_seen (
    line integer primary key references line (id),
    seen_at integer not null
)
--;
-- Positions that the gateway says it has forgotten.
create table gone (
    line integer primary key references line (id),
    chain integer not null,
    first integer not null,
    last integer not null
)
--;
create index gone_chain on gone (chain, first)
--;
-- Boots that have lines without UTC; `shift` in seconds is null until it is known.
create table boot (
    gateway text not null,
    log text not null,
    boot text not null,
    shift integer,
    estimated integer not null default 0,
    primary key (gateway, log, boot)
)
--;
create table channel (
    id integer primary key,
    gateway text not null,
    device text not null,
    meter text not null,
    unit text,
    exponent integer,
    longest integer not null default 0,
    unique (gateway, device, meter)
)
--;
-- One row for each line and channel, and the bridges: kind 1 birth, 2 exchange, 3 gap, 4 usage, 5 bridge
-- within an epoch, 6 between epochs. `start` is null until the line is placed; `reason` is null where
-- the row counts; `deltas` is packed. `top` and `reach` are what the row leaves to the next one.
create table span (
    channel integer not null,
    chain integer not null,
    seq integer not null,
    kind integer not null,
    line integer not null,
    start integer,
    step integer not null,
    count integer not null,
    until integer,
    register integer not null,
    register_end integer not null,
    deltas blob not null,
    estimated text,
    raw integer,
    serial text,
    cloned integer not null,
    reason text,
    withheld integer not null,
    ragged integer not null,
    top integer not null,
    reach integer,
    primary key (channel, chain, seq, kind)
) without rowid
--;
create index span_usage on span (channel, start) where kind = 4 and start is not null
--;
create index span_other on span (channel, until) where (kind = 3 or kind >= 5) and start is not null
--;
-- What register look-ups must not step over.
create index span_special on span (channel, chain, seq)
where kind = 3 or kind >= 5 or estimated is not null or ragged <> 0
--;
create index span_mark on span (channel, chain, seq) where kind <= 2
--;
-- What billing asks a chain for, however many plain rows it holds.
create index span_moved on span (chain, seq) where kind <= 2 or estimated is not null
--;
create index span_set_apart on span (chain) where reason is not null or withheld <> 0
--;
-- Stretches of unknown amount: kind 3 said by a gap line, 6 between epochs.
create table unknown (
    channel integer not null,
    chain integer not null,
    seq integer not null,
    kind integer not null,
    line integer not null,
    start integer,
    until integer,
    cause text not null,
    why text not null,
    primary key (channel, chain, seq, kind)
) without rowid
--;
create index unknown_chain on unknown (chain, seq)
--;
-- Rows of accepted lines that cannot be read as what they should be.
create table bad_row (
    line integer not null,
    ordinal integer not null,
    chain integer not null,
    seq integer not null,
    device text not null,
    meter text not null,
    reason text not null,
    units integer,
    primary key (line, ordinal)
) without rowid
--;
create index bad_row_position on bad_row (chain, seq)
--;
create table alarm (
    line integer not null,
    kind text not null,
    gateway text not null,
    log text not null,
    text text not null,
    raised_at integer not null,
    primary key (line, kind)
) without rowid
--;
create index alarm_gateway on alarm (gateway, kind)
--;
create table receipt_clock (
    gateway text not null,
    log text not null,
    at integer not null,
    primary key (gateway, log)
) without rowid
--;
create table unmatched (
    id integer primary key,
    topic text not null,
    gateway text not null,
    reason text not null,
    nearest text not null,
    messages integer not null,
    first_at integer not null,
    last_at integer not null,
    sample blob not null,
    unique (topic, reason)
)
--;
create table refused (
    id integer primary key,
    gateway text not null,
    reason text not null,
    received_at integer not null,
    sample blob not null
)
--;
create index refused_gateway on refused (gateway)
--;
create table refusals (
    gateway text primary key,
    lines integer not null
)
