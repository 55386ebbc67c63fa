-- Who was invited, which keys claimed an invitation, and what certificates were made for them. A key that was
-- accepted stands in gateway_key as well: that one alone decides what is taken.
create table invitation (
    secret text primary key,
    gateway text not null,
    replaces integer not null default 0,
    made_at integer not null,
    ends_at integer not null,
    key text,
    claimed_at integer
)
--;
create unique index invitation_open on invitation (gateway) where key is null
--;
create table claimed_key (
    gateway text not null,
    key text not null,
    public blob not null check (length(public) = 32),
    replaces integer not null default 0,
    claimed_at integer not null,
    claimed_from text not null,
    accepted_at integer,
    revoked_at integer,
    primary key (gateway, key)
)
--;
create table certificate (
    serial text primary key,
    gateway text not null,
    key text not null,
    pem text not null,
    made_at integer not null,
    ends_at integer not null,
    revoked_at integer
)
--;
create index certificate_key on certificate (gateway, key, ends_at)
