-- Who works on what, where several collectors share a store. `holder` is the collector that changed the gateway's rows
-- last: any other forgets what it remembers of them. A row is locked for as long as somebody works.
create table turn (
    gateway text primary key,
    holder integer not null
) without rowid
--;
create table billing_turn (
    contract text primary key
) without rowid
