-- name: trail_add
insert into trail (at, who, role, means, deed, what, account) values (?, ?, ?, ?, ?, ?, ?)

-- name: trail
select at, who, role, means, deed, what, account from trail
where (cast(? as text) is null or account = ?) and (cast(? as text) is null or who = ?) and at >= ?
order by id desc limit ?

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
