-- name: command_give
insert into command (gateway, counter, "do", details, given_at, sealed, due_at)
values (?, (select coalesce(max(c.counter), 0) + 1 from command c where c.gateway = ?), ?, ?, ?, ?, ?) returning counter;

-- name: command_next
select coalesce(max(counter), 0) + 1 from command where gateway = ?;

-- name: commands_due
select c.gateway, c.counter, c."do", c.details, c.given_at, c.sealed, c.sendings from command c
where c.answered_at is null and c.due_at <= ? and c.sendings < ?
and not exists (select 1 from command b where b.gateway = c.gateway and b.counter < c.counter
    and b.answered_at is null and b.sendings < ?)
order by c.due_at, c.gateway limit ?;

-- name: commands_open
select count(*) from command where gateway = ? and answered_at is null and sendings < ?;

-- name: command_sent
update command set sendings = sendings + 1, due_at = ? where gateway = ? and counter = ?;

-- name: command_wait
update command set due_at = ? where gateway = ? and counter = ?;

-- name: command_answered
update command set answered_at = ?, ok = ?, why = ?, answer = ? where gateway = ? and counter = ? and answered_at is null
returning "do", details;

-- name: command_one
select "do", details, answered_at from command where gateway = ? and counter = ?;

-- name: commands_of
select counter, "do", details, given_at, sendings, answered_at, ok, why from command where gateway = ?
order by counter desc limit ?;

-- name: epoch_current
select epoch from chain where gateway = ? and rank is not null and succeeded is null order by rank desc, id desc limit 1;

-- name: receipt_trust_put
insert into receipt_trust (gateway, key, at) values (?, ?, ?)
on conflict (gateway) do update set key = excluded.key, at = excluded.at;

-- name: receipt_trust_all
select gateway, key from receipt_trust order by gateway;

-- name: receipt_trust_one
select key from receipt_trust where gateway = ?;
