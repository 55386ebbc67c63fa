-- What programs show instead of a session: its hash, never itself.
create table token (
    name text primary key,
    secret text not null unique, -- SHA-256, hexadecimal
    role text not null,
    accounts text, -- a JSON list; null: every account
    scopes text not null, -- a JSON list
    made_at integer not null, -- Unix milliseconds
    made_by text not null,
    ends_at integer not null,
    revoked_at integer,
    used_at integer -- to the hour
) without rowid;
--;
create trigger token_is_kept before delete on token
begin select raise(abort, 'a token is revoked, never forgotten'); end;
--;
create trigger token_is_no_other before update of name, secret, role, accounts, scopes, made_at, made_by, ends_at on token
begin select raise(abort, 'a token is never changed: revoke it and make another'); end;
--;
create trigger token_stays_revoked before update of revoked_at on token
when old.revoked_at is not null
begin select raise(abort, 'a revoked token stays revoked'); end;
