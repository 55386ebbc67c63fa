-- name: invitation_put
insert into invitation (secret, gateway, replaces, made_at, ends_at) values (?, ?, ?, ?, ?);

-- name: invitation_withdraw
delete from invitation where gateway = ? and key is null returning secret;

-- name: invitation_one
select gateway, replaces, ends_at, key from invitation where secret = ?;

-- name: invitation_claim
update invitation set key = ?, claimed_at = ? where secret = ? and key is null;

-- name: invitations_open
select gateway, ends_at from invitation where key is null order by gateway;

-- name: claimed_put
insert into claimed_key (gateway, key, public, replaces, claimed_at, claimed_from) values (?, ?, ?, ?, ?, ?)
on conflict (gateway, key) do nothing;

-- name: claimed_one
select public, replaces, claimed_at, accepted_at, revoked_at from claimed_key where gateway = ? and key = ?;

-- name: claimed_waiting
select gateway, key, public, replaces, claimed_at, claimed_from from claimed_key
where accepted_at is null and revoked_at is null order by gateway, claimed_at, key;

-- name: claimed_of
select key, accepted_at, revoked_at from claimed_key where gateway = ? order by claimed_at, key;

-- name: claimed_accept
update claimed_key set accepted_at = ? where gateway = ? and key = ?;

-- name: claimed_revoke
update claimed_key set revoked_at = ? where gateway = ? and key = ? and revoked_at is null;

-- name: certificate_put
insert into certificate (serial, gateway, key, pem, made_at, ends_at) values (?, ?, ?, ?, ?, ?);

-- name: certificate_newest
select pem, made_at, ends_at from certificate
where gateway = ? and key = ? and revoked_at is null order by ends_at desc, made_at desc limit 1;

-- name: certificates_revoke
update certificate set revoked_at = ? where gateway = ? and key = ? and revoked_at is null;

-- name: certificates_revoked
select serial, revoked_at from certificate where revoked_at is not null and ends_at > ? order by revoked_at, serial;

-- name: claimed_gateways
select distinct gateway from claimed_key order by gateway;
