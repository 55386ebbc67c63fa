-- name: hearing
select since, until from hearing where one = 1;

-- name: hearing_put
insert into hearing (one, since, until) values (1, ?, ?)
on conflict (one) do update set since = excluded.since, until = excluded.until;

-- name: incidents_open
select id, kind, gateway, part, text, begun_at from incident where ended_at is null order by begun_at, id;

-- name: incidents_newest
select id, kind, gateway, part, text, begun_at, ended_at from incident order by id desc limit ?;

-- name: incidents_counted
select kind, count(*) from incident where ended_at is null group by kind order by kind;

-- name: incident_begin
insert into incident (kind, gateway, part, text, begun_at) values (?, ?, ?, ?, ?) on conflict do nothing;

-- name: incident_end
update incident set ended_at = ? where id = ? and ended_at is null;

-- name: incident_say
update incident set text = ? where id = ?;

-- name: incidents_untold
select id, kind, gateway, part, text, begun_at, ended_at from incident
where begin_told_at is null or (ended_at is not null and end_told_at is null) order by id limit ?;

-- name: incident_told_begin
update incident set begin_told_at = coalesce(begin_told_at, ?) where id = ?;

-- name: incident_told_end
update incident set end_told_at = ? where id = ?;

-- name: watch_newest
select c.gateway, l.received_at, l.sealed, l.clock, p.received_at, p.sealed from chain c
join line l on l.chain = c.id and l.seq = c.top and l.aside = 0
left join line p on p.chain = c.id and p.seq = c.top - 1 and p.aside = 0 order by c.gateway, l.received_at;

-- name: watch_channels
select c.gateway, c.device, c.meter, c.id, s.start, s.step, s.count, s.estimated, s.register, s.register_end
from channel c join span s on s.channel = c.id and s.kind = 4 and s.folded is null and s.start = (
    select max(x.start) from span x where x.channel = c.id and x.kind = 4 and x.start is not null
) order by c.gateway, c.device, c.meter;

-- name: watch_before
select start, step, count, estimated, register, register_end from span
where channel = ? and kind = 4 and start < ? order by start desc limit ?;

-- name: watch_holes
select c.id, c.gateway, c.log, c.epoch from chain c where c.through < c.top order by c.id limit ?;

-- name: metrics_counts
select (select count(*) from chain where through < top),
       (select count(*) from parked),
       (select count(*) from command where answered_at is null and sendings < ?),
       (select max(at) from checkpoint);
