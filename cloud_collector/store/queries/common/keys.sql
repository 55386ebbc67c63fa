-- name: rotations_of
select c.log, c.epoch, r.seq, r.old, r.key, r.public from rotation r join chain c on c.id = r.chain where c.gateway = ?
order by c.log, c.epoch, r.seq;

-- name: rotation_put
insert into rotation (line, chain, seq, old, key, public) values (?, ?, ?, ?, ?, ?) on conflict (line) do nothing;

-- name: rotation_drop
delete from rotation where line = ?;

-- name: rotations_count
select count(*) from rotation r join chain c on c.id = r.chain where c.gateway = ?;

-- name: rotated_keys
select distinct r.key, r.public from rotation r join chain c on c.id = r.chain where c.gateway = ? order by r.key, r.public;

-- name: root_keys
select distinct key from gateway_key where gateway = ?;

-- name: revocations_of
select r.id, r.key, a.log, a.epoch, a.last from revocation r left join revoked_at a on a.revocation = r.id
where r.gateway = ? order by r.id, a.log, a.epoch;

-- name: revocations_told
select r.key, r.at, a.log, a.epoch, a.last from revocation r left join revoked_at a on a.revocation = r.id
where r.gateway = ? order by r.id, a.log, a.epoch;

-- name: revocation_put
insert into revocation (gateway, key, at) values (?, ?, ?) returning id;

-- name: revoked_at_put
insert into revoked_at (revocation, log, epoch, last) values (?, ?, ?, ?);

-- name: chains_for_revocation
select c.log, c.epoch, c.standing, c.rank, c.top, c.previous, c.previous_seq from chain c where c.gateway = ?
order by c.log, c.rank is null, c.rank, c.id;

-- name: adoption_put
insert into adoption (gateway, epoch, chains, at)
select ?, ?, coalesce(max(id), 0), ? from chain where gateway = ?;

-- name: adoptions_of
select epoch, chains from adoption where gateway = ? order by id;

-- name: adoptions_told
select epoch, at from adoption where gateway = ? order by id;

-- name: epoch_known
select 1 from chain where gateway = ? and epoch = ? limit 1;

-- name: line_keys
select l.id, c.log, c.epoch, l.seq, l.key, d.reason from line l join chain c on c.id = l.chain
left join disowned d on d.line = l.id where c.gateway = ? and l.aside = 0 order by l.id;

-- name: line_keys_after
select l.id, c.log, c.epoch, l.seq, l.key, d.reason from line l join chain c on c.id = l.chain
left join disowned d on d.line = l.id where l.chain = ? and l.seq > ? and l.aside = 0 order by l.id;

-- name: disowned_put
insert into disowned (line, chain, reason) values (?, ?, ?)
on conflict (line) do update set reason = excluded.reason;

-- name: disowned_drop
delete from disowned where line = ?;

-- name: disowned_count
select count(*) from disowned d join chain c on c.id = d.chain where c.gateway = ?;

-- name: rejudge_mark
insert into rejudge (gateway) values (?) on conflict do nothing;

-- name: rejudge_marks
select gateway from rejudge order by gateway;

-- name: rejudge_done
delete from rejudge where gateway = ? returning gateway;

-- name: logs_of_gateway
select distinct log from chain where gateway = ? order by log;

-- name: rebuild_clear_rotation
delete from rotation;

-- name: rebuild_clear_disowned
delete from disowned;

-- name: rebuild_clear_rejudge
delete from rejudge;

-- name: audit_rotation
select * from rotation order by line limit ? offset ?;

-- name: audit_disowned
select * from disowned order by line limit ? offset ?;

-- name: copied_keys
select gateway, key, public, added_at from gateway_key order by gateway, key, log, epoch;

-- name: copied_revocation
select id, gateway, key, at from revocation order by id;

-- name: copied_revoked_at
select revocation, log, epoch, last from revoked_at order by revocation, log, epoch;

-- name: copied_adoption
select id, gateway, epoch, chains, at from adoption order by id;

-- name: copy_revocation
insert into revocation (id, gateway, key, at) values (?, ?, ?, ?);

-- name: copy_adoption
insert into adoption (id, gateway, epoch, chains, at) values (?, ?, ?, ?, ?);
