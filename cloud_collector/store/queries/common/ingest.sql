-- name: ingest_log_add
insert into ingest_log (
    gateway, account, opened_at, opened_by, epoch, boot, begun_at, seq, prev, former, stated, frontier, waiting
) values (?, ?, ?, ?, ?, ?, ?, 0, '', '', 0, ?, 0);

-- name: ingest_logs
select gateway, account, opened_at, opened_by, epoch, seq, frontier, waiting from ingest_log order by gateway;

-- name: ingest_log_one
select gateway, account, opened_at, opened_by, epoch, seq, frontier, waiting from ingest_log where gateway = ?;

-- name: ingest_lock
-- Whoever adds to a log holds its row to the end of the transaction.
update ingest_log set waiting = waiting where gateway = ?
returning account, epoch, boot, begun_at, seq, prev, former, stated, frontier, waiting;

-- name: ingest_log_sealed
update ingest_log set epoch = ?, boot = ?, begun_at = ?, seq = ?, prev = ?, former = ?, stated = ?, frontier = ?, waiting = ?
where gateway = ?;

-- name: ingest_log_taken
update ingest_log set waiting = waiting + ? where gateway = ?;

-- name: ingest_log_unstated
update ingest_log set stated = 0 where gateway = ?;

-- name: ingest_meter_add
insert into ingest_meter (gateway, meter, unit, exponent) values (?, ?, ?, ?);

-- name: ingest_meters
select meter, unit, exponent from ingest_meter where gateway = ? order by meter;

-- name: ingest_channels
select c.device, c.meter, m.unit, m.exponent, c.register, c.promised
from ingest_channel c join ingest_meter m on m.gateway = c.gateway and m.meter = c.meter
where c.gateway = ? order by c.device, c.meter;

-- name: ingest_promise
insert into ingest_channel (gateway, device, meter, register, promised) values (?, ?, ?, 0, ?)
on conflict (gateway, device, meter) do update set promised = excluded.promised;

-- name: ingest_register
update ingest_channel set register = ? where gateway = ? and device = ? and meter = ?;

-- name: ingest_event_one
select device, meter, at, units, received_at, placed, late from ingest_event where gateway = ? and source = ? and id = ?;

-- name: ingest_event_add
insert into ingest_event (gateway, source, id, device, meter, at, units, placed, late, received_at, who)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: ingest_window
select device, meter, placed, cast(sum(units) as bigint), max(late), count(*) from ingest_event
where gateway = ? and placed >= ? and placed < ? group by device, meter, placed order by device, meter, placed;

-- name: ingest_outbox_put
insert into ingest_outbox (gateway, epoch, seq, raw) values (?, ?, ?, ?);

-- name: ingest_outbox
select epoch, seq, raw from ingest_outbox where gateway = ? order by epoch, seq;

-- name: ingest_outbox_logs
select distinct gateway from ingest_outbox order by gateway;

-- name: ingest_outbox_held
delete from ingest_outbox where gateway = ? and epoch = ? and seq <= ?;

-- name: ingest_restored_after
select 1 from restoration where restored_at > ? limit 1;

-- name: ingest_gateways
select gateway from ingest_log order by gateway;
