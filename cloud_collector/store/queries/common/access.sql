-- name: trail_add
insert into trail (at, who, role, means, deed, what, account) values (?, ?, ?, ?, ?, ?, ?)

-- name: trail
select at, who, role, means, deed, what, account, id from trail
where (cast(? as text) is null or account = ?) and (cast(? as text) is null or who = ?) and at >= ? and id < ?
order by id desc limit ?

-- name: trail_looked
select 1 from trail where account = ? and who = ? and what = ? and at >= ? and deed = 'read' limit 1

-- name: token_add
insert into token (name, secret, role, accounts, scopes, made_at, made_by, ends_at) values (?, ?, ?, ?, ?, ?, ?, ?)

-- name: tokens
select name, role, accounts, scopes, made_at, made_by, ends_at, revoked_at, used_at from token order by name

-- name: tokens_count
select count(*) from token where revoked_at is null

-- name: token_named
select name, role, accounts, scopes, made_at, made_by, ends_at, revoked_at, used_at from token where name = ?

-- name: token_of_secret
select name, role, accounts, scopes, made_at, made_by, ends_at, revoked_at, used_at from token where secret = ?

-- name: token_used
update token set used_at = ? where secret = ?

-- name: token_revoke
update token set revoked_at = ? where name = ?

-- name: person_add
insert into person (email, role, accounts, added_at, added_by) values (?, ?, ?, ?, ?)
on conflict (email) do update
set role = excluded.role, accounts = excluded.accounts, added_at = excluded.added_at, added_by = excluded.added_by,
    removed_at = null

-- name: person_role
update person set role = ?, accounts = ? where email = ?

-- name: person_remove
update person set removed_at = ? where email = ?

-- name: person_of
select email, role, accounts, added_at, added_by, removed_at from person where email = ?

-- name: people
select email, role, accounts, added_at, added_by, removed_at from person order by email

-- name: people_count
select count(*) from person

-- name: link_add
insert into sign_in_link (secret, email, leads_to, made_at, ends_at) values (?, ?, ?, ?, ?)

-- name: link_take
update sign_in_link set used_at = ? where secret = ? and used_at is null and ends_at > ? returning email, leads_to

-- name: links_drop
delete from sign_in_link where email = ?

-- name: links_prune
delete from sign_in_link where ends_at < ?

-- name: session_add
insert into session (secret, email, way, agent, begun_at, seen_at, ends_at) values (?, ?, ?, ?, ?, ?, ?)

-- name: session_of_secret
select secret, email, way, agent, begun_at, seen_at, ends_at from session where secret = ?

-- name: sessions_of
select secret, email, way, agent, begun_at, seen_at, ends_at from session where email = ? order by seen_at desc, secret

-- name: session_seen
update session set seen_at = ? where secret = ?

-- name: session_end
update session set ends_at = ? where secret = ?

-- name: sessions_end
update session set ends_at = ?1 where email = ?2 and ends_at > ?1

-- name: sessions_prune
delete from session where ends_at < ?

-- name: oidc_begin
insert into oidc_try (state, verifier, nonce, leads_to, ends_at) values (?, ?, ?, ?, ?)

-- name: oidc_take
delete from oidc_try where state = ? and ends_at > ? returning verifier, nonce, leads_to

-- name: oidc_prune
delete from oidc_try where ends_at < ?

-- name: oidc_count
select count(*) from oidc_try
