-- Without statistics SQLite prefers the primary key and would walk every row in between; these indexes hold few rows.

-- name: first_mark
select seq, raw, serial, register, start, line from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq limit 1;

-- name: last_mark
select raw, serial, register, estimated from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 order by seq desc limit 1;

-- name: last_sure_mark
select start from span indexed by span_mark
where channel = ? and chain = ? and kind <= 2 and raw is not null and cloned = 0 and estimated is null
order by seq desc limit 1;

-- name: view_chain_ragged
select 1 from span indexed by span_special where channel = ? and chain = ? and ragged <> 0
and (kind = 3 or kind >= 5 or estimated is not null or ragged <> 0) limit 1;

-- name: view_special
select 1 from span indexed by span_special where channel = ? and chain = ? and seq between ? and ?
and (kind = 3 or kind >= 5 or estimated is not null or ragged <> 0) limit 1;
