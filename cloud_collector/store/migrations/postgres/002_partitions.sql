-- Usage rows by the month in which they start (docs/decisions/0007-usage-rows-by-month.md); `span` of 001 is empty when
-- this comes. A row that is not placed yet has no start, and lies with everything outside of the months that have
-- a partition in span_other_months. The key has `start` in it, as every unique index of a partitioned table must; that no
-- two rows of one position start at different times is what intake holds, and `audit` compares.
drop table span
--;
create table span (
    channel bigint not null,
    chain bigint not null,
    seq bigint not null,
    kind bigint not null,
    line bigint not null,
    start bigint,
    step bigint not null,
    count bigint not null,
    until bigint,
    register bigint not null,
    register_end bigint not null,
    deltas bytea not null,
    estimated text collate "C",
    raw bigint,
    serial text collate "C",
    cloned bigint not null,
    reason text collate "C",
    withheld bigint not null,
    ragged bigint not null,
    top bigint not null,
    reach bigint
) partition by range (start)
--;
create table span_other_months partition of span default
--;
create unique index span_position on span (channel, chain, seq, kind, start) nulls not distinct
--;
create index span_usage on span (channel, start) where kind = 4 and start is not null
--;
create index span_other on span (channel, until) where (kind = 3 or kind >= 5) and start is not null
--;
create index span_special on span (channel, chain, seq)
where kind = 3 or kind >= 5 or estimated is not null or ragged <> 0
--;
create index span_mark on span (channel, chain, seq) where kind <= 2
--;
create index span_moved on span (chain, seq) where kind <= 2 or estimated is not null
--;
create index span_set_apart on span (chain) where reason is not null or withheld <> 0
