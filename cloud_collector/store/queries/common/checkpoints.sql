-- name: leaf_count
select coalesce(max(place) + 1, 0) from leaf where origin = ?;

-- name: leaf_put
insert into leaf (origin, place, line, invoice, checkpoint, hash) values (?, ?, ?, ?, ?, ?);

-- name: leaf_hashes
select hash from leaf where origin = ? and place >= ? and place < ? order by place;

-- name: leaf_last_line
select coalesce(max(line), 0) from leaf where origin = ? and line is not null;

-- name: leaf_last_invoice
select coalesce(max(invoice), 0) from leaf where origin = ? and invoice is not null;

-- name: lines_without_leaf
select l.id, l.raw from line l where l.id > ? and l.aside = 0 and l.let_go is null
and not exists (select 1 from leaf f where f.origin = ? and f.line = l.id) order by l.id limit ?;

-- name: lines_without_leaf_late
select l.id, l.raw from line l join chain c on c.id = l.chain
where c.asides > 0 and l.id <= ? and l.aside = 0 and l.let_go is null
and not exists (select 1 from leaf f where f.origin = ? and f.line = l.id) order by l.id limit ?;

-- name: invoices_without_leaf
select i.id, i.line from invoice i where i.id > ?
and not exists (select 1 from leaf f where f.origin = ? and f.invoice = i.id) order by i.id limit ?;

-- name: subtree_put
insert into subtree (origin, level, place, hash) values (?, ?, ?, ?) on conflict (origin, level, place) do nothing;

-- name: subtree_hashes
select hash from subtree where origin = ? and level = ? and place >= ? and place < ? order by place;

-- name: subtree_count
select coalesce(max(place) + 1, 0) from subtree where origin = ? and level = ?;

-- name: checkpoint_put
insert into checkpoint (origin, size, root, at, hash, line) values (?, ?, ?, ?, ?, ?) on conflict do nothing;

-- name: checkpoint_by_hash
select id, line from checkpoint where hash = ?;

-- name: checkpoints
select id, origin, size, root, at, hash, line from checkpoint order by id;

-- name: checkpoint_newest
select id, origin, size, root, at, hash, line from checkpoint where origin = ? order by size desc limit 1;

-- name: checkpoint_newest_of_all
select id, origin, size, root, at, hash, line from checkpoint order by at desc, id desc limit 1;

-- name: leaf_of_line
select f.place, f.hash from leaf f join line l on l.id = f.line where f.origin = ? and l.hash = ?;

-- name: leaf_of_invoice
select f.place, f.hash from leaf f join invoice i on i.id = f.invoice where f.origin = ? and i.number = ?;

-- name: leaves_with_bytes
select f.place, f.hash, l.let_go, l.raw, i.line, c.line from leaf f
left join line l on l.id = f.line left join invoice i on i.id = f.invoice left join checkpoint c on c.id = f.checkpoint
where f.origin = ? and f.place >= ? order by f.place limit ?;
