-- Who can sign in. Each change stands in the trail; a person is removed, never forgotten.
create table person (
    email text primary key,
    role text not null,
    accounts text, -- a customer's, as a JSON list; null: every account
    added_at integer not null, -- Unix milliseconds
    added_by text not null,
    removed_at integer
) without rowid;
--;
create trigger person_is_kept before delete on person
begin select raise(abort, 'a person is removed, never forgotten'); end;
--;
-- Links that sign somebody in, once; the hash of what stands in the e-mail.
create table sign_in_link (
    secret text primary key,
    email text not null,
    leads_to text not null,
    made_at integer not null, -- Unix milliseconds
    ends_at integer not null,
    used_at integer
) without rowid;
--;
-- Browsers in which somebody is signed in; the hash of the cookie.
create table session (
    secret text primary key,
    email text not null,
    way text not null check (way in ('link', 'oidc')),
    agent text not null,
    begun_at integer not null, -- Unix milliseconds
    seen_at integer not null,
    ends_at integer not null
) without rowid;
--;
create index session_by_email on session (email);
--;
-- Sign-ins that an OpenID provider was asked for and has not answered yet.
create table oidc_try (
    state text primary key,
    verifier text not null,
    nonce text not null,
    leads_to text not null,
    ends_at integer not null -- Unix milliseconds
) without rowid;
