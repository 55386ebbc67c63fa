-- What an operator does not want to hear of again: gateways, keys, devices, topics that nobody knows. `what` is a key's id,
-- a device or a topic, and empty for a gateway. It silences and forbids nothing: what is enrolled is taken all the same.
create table block (
    kind text not null check (kind in ('gateway', 'key', 'device', 'topic')),
    gateway text not null,
    what text not null,
    at integer not null, -- Unix milliseconds
    by_whom text not null,
    reason text not null,
    primary key (kind, gateway, what)
) without rowid
