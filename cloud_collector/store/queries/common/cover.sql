-- name: cover_put
insert into cover (line, ordinal, chain, seq, first, last, before, ends) values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict (line, ordinal) do nothing;

-- name: cover_top
select max(last) from cover where chain = ?;

-- name: covers_at
select c.first, c.last, c.before, c.ends from cover c join line l on l.id = c.line and l.aside = 0
where c.chain = ? and c.last >= ? and c.first <= ? order by c.last desc, c.seq, c.first;

-- name: covers_of
select c.first, c.last from cover c join line l on l.id = c.line and l.aside = 0
where c.chain = ? and c.last > ? order by c.first, c.last;

-- name: cover_extents
select c.line, c.seq, min(c.first), max(c.last) from cover c join line l on l.id = c.line and l.aside = 0
where c.chain = ? group by c.line, c.seq order by min(c.first), c.seq;

-- name: summary_covering_after
select l.raw, l.clock, l.boot, l.received_at from cover c join line l on l.id = c.line and l.aside = 0
where c.chain = ? and c.last > ? and c.last <= ? order by c.last desc, c.seq limit 1;

-- name: summary_raw
select l.raw, l.received_at from line l where l.id = ?;

-- name: lines_held_within
select seq from line where chain = ? and seq between ? and ? and aside = 0 order by seq;

-- name: line_next_held
select seq, prev from line where chain = ? and seq > ? and seq <= ? and aside = 0 order by seq limit 1;

-- name: told_before
select seq, register, register_end, start, until from span
where channel = ? and chain = ? and seq < ? and seq >= ? and kind <= 4 and cloned <> 2 and folded is null
order by seq desc limit 1;

-- name: told_after
select seq, register, register_end, start, until from span
where channel = ? and chain = ? and seq > ? and seq <= ? and kind <= 4 and cloned <> 2 and folded is null
order by seq limit 1;

-- name: folded_rows
select seq, start, step, count, deltas, register, register_end, estimated, cloned, line, folded from span
where channel = ? and chain = ? and seq between ? and ? and folded is not null order by seq;

-- name: folded_put
insert into span (
    channel, chain, seq, kind, line, start, step, count, until, register, register_end, deltas, estimated, raw, serial,
    cloned, reason, withheld, ragged, top, reach, folded
) values (?, ?, ?, 4, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, null, ?, null, 0, -1, ?, null, ?);

-- name: folded_drop
delete from span where channel = ? and chain = ? and seq = ? and folded is not null returning seq;

-- name: folded_drop_line
delete from span where channel = ? and chain = ? and seq between ? and ? and folded = ? returning seq;
