-- Positions that summaries cover, for summaries that hold a position and for those set aside; of ranges in order.
create table cover (
    line integer not null references line (id),
    ordinal integer not null,
    chain integer not null,
    seq integer not null,
    first integer not null,
    last integer not null,
    before text not null,
    ends text not null,
    primary key (line, ordinal)
) without rowid
--;
create index cover_chain on cover (chain, last)
--;
-- Of a row that a summary says, the summary's seq; the row's own is a position that it covers.
alter table span add column folded integer
--;
create index span_folded on span (channel, chain, seq) where folded is not null
