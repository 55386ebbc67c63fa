-- What was answered to requests that named themselves, so that the same request again gets the same answer. It is
-- forgotten after a week. `status` is null while the request is under way.
create table answered_once (
    viewer text not null,
    key text not null,
    request text not null, -- SHA-256 over method, path, query and body
    at integer not null, -- Unix milliseconds
    status integer,
    type text not null default '',
    body blob,
    primary key (viewer, key)
) without rowid;
--;
create index answered_once_at on answered_once (at);
--;
create index invoice_by_account on invoice (account, id);
