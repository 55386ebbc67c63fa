-- As in usage.sql: without these SQLite would walk every line of an epoch to find those without UTC.

-- name: basis_clocks
select h.epoch, min(c.seq) from line l indexed by line_unplaced
join chain h on h.gateway = ? and h.log = ? and h.standing <> 'cloned'
join line c on c.chain = h.id and c.boot = l.boot and c.kind = 'clock' and c.aside = 0
where l.chain = ? and l.aside = 0 and l.clock in ('R', 'U') and l.seq <= ? group by h.id, l.boot order by 1, 2;

-- name: received_boots
select distinct b.boot, b.shift from line l indexed by line_unplaced
join boot b on b.gateway = ? and b.log = ? and b.boot = l.boot
where l.chain = ? and l.aside = 0 and l.clock in ('R', 'U') and l.seq <= ? and b.estimated = 1 and b.shift is not null
order by b.boot;
