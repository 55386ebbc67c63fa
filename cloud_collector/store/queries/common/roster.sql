-- name: standings_kept
select gateway, standing, every_seconds from gateway_standing;

-- name: standing_put
insert into gateway_standing (gateway, standing, every_seconds, since) values (?, ?, ?, ?)
on conflict (gateway) do update set standing = excluded.standing, every_seconds = excluded.every_seconds,
    since = excluded.since;

-- name: roster_counts
select standing, count(*) from gateway_standing group by standing;

-- name: roster_totals
select (select count(*) from gateway), (select count(distinct gateway) from chain where through < top),
    (select count(*) from unmatched), (select count(*) from incident where ended_at is null);

-- name: roster_page
select g.name, g.added_at, s.standing, s.every_seconds, s.since,
    (select count(*) from incident i where i.gateway = g.name and i.ended_at is null),
    c.id, c.through, c.top, l.received_at, l.sealed, l.clock
from (
    select name, added_at from gateway where name > ? and name like ? escape '\' order by name limit ?
) g
left join gateway_standing s on s.gateway = g.name
left join chain c on c.gateway = g.name
left join line l on l.chain = c.id and l.seq = c.top and l.aside = 0
order by g.name, c.id;

-- name: roster_one
select g.name, g.added_at, s.standing, s.every_seconds, s.since,
    (select count(*) from incident i where i.gateway = g.name and i.ended_at is null),
    c.id, c.through, c.top, l.received_at, l.sealed, l.clock
from gateway g
left join gateway_standing s on s.gateway = g.name
left join chain c on c.gateway = g.name
left join line l on l.chain = c.id and l.seq = c.top and l.aside = 0
where g.name = ? order by c.id;

-- name: roster_page_standing
select g.name, g.added_at, g.standing, g.every_seconds, g.since,
    (select count(*) from incident i where i.gateway = g.name and i.ended_at is null),
    c.id, c.through, c.top, l.received_at, l.sealed, l.clock
from (
    select w.name, w.added_at, k.standing, k.every_seconds, k.since
    from gateway_standing k join gateway w on w.name = k.gateway
    where k.standing = ? and k.gateway > ? and k.gateway like ? escape '\' order by k.gateway limit ?
) g
left join chain c on c.gateway = g.name
left join line l on l.chain = c.id and l.seq = c.top and l.aside = 0
order by g.name, c.id;

-- name: roster_page_holes
select g.name, g.added_at, s.standing, s.every_seconds, s.since,
    (select count(*) from incident i where i.gateway = g.name and i.ended_at is null),
    c.id, c.through, c.top, l.received_at, l.sealed, l.clock
from (
    select w.name, w.added_at from gateway w
    where w.name in (select h.gateway from chain h where h.through < h.top)
        and w.name > ? and w.name like ? escape '\' order by w.name limit ?
) g
left join gateway_standing s on s.gateway = g.name
left join chain c on c.gateway = g.name
left join line l on l.chain = c.id and l.seq = c.top and l.aside = 0
order by g.name, c.id;

-- name: roster_page_never
select g.name, g.added_at, null, null, null,
    (select count(*) from incident i where i.gateway = g.name and i.ended_at is null),
    null, null, null, null, null, null
from gateway g
where g.name > ? and g.name like ? escape '\' and not exists (select 1 from chain c where c.gateway = g.name)
order by g.name limit ?;

-- name: chains_drawn
select id, log, epoch, standing, rank, through, top, gone, asides from chain where gateway = ?
order by log, rank is null, rank desc, id desc limit ?;

-- name: newest_birth
select l.raw from line l where l.id = (
    select s.line from channel c join span s on s.channel = c.id and s.kind <= 2 and s.kind = 1
    where c.gateway = ? order by s.line desc limit 1
);

-- name: devices_of_gateway
select c.device, c.meter, c.unit, c.exponent from channel c where c.gateway = ? order by c.device, c.meter limit ?;

-- name: incidents_of_gateway
select id, kind, gateway, part, text, begun_at, ended_at from incident where gateway = ? order by id desc limit ?;
