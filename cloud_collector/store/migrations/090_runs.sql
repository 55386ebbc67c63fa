-- Billing runs that a person began: some draft documents for approval, others issue what is due. A fact.
create table billing_run (
    id integer primary key,
    begun_at integer not null, -- Unix seconds
    by_whom text not null,
    as_of integer not null, -- Unix seconds: what was due then
    contracts text not null, -- a JSON list; empty: all
    drafts integer not null check (drafts in (0, 1)) -- 1: it drafted, for approval
);
--;
-- That a run which issues came to its end. One without was stopped, and is resumed. A fact.
create table billing_run_ended (
    run integer primary key references billing_run (id),
    at integer not null, -- Unix seconds
    issued integer not null,
    parked integer not null,
    unapproved integer not null
);
--;
-- Documents as they would be issued, for a person to approve. They have no number. A fact.
create table drafted (
    id integer primary key,
    run integer not null references billing_run (id),
    task text not null check (task in ('period', 'void', 'rebill')),
    contract text not null,
    period_start integer not null, -- Unix seconds
    period_end integer not null,
    invoice integer references invoice (id), -- which one is to be taken back or billed again
    reason text not null,
    digest text not null, -- SHA-256 over what was approved: an issued document must have the same
    currency text not null,
    total text not null,
    draft text not null, -- as `quote` prints it, as JSON; empty: a void
    check ((invoice is null) = (task = 'period'))
);
--;
create index drafted_by_period on drafted (contract, period_start, task);
--;
create index drafted_by_run on drafted (run);
--;
-- Who approved a draft. A fact; one is enough.
create table approval (
    draft integer primary key references drafted (id),
    by_whom text not null,
    at integer not null -- Unix seconds
);
--;
-- Which document was issued from an approved draft. A fact.
create table draft_issued (
    draft integer primary key references drafted (id),
    invoice integer not null unique references invoice (id)
);
--;
create trigger billing_run_is_kept before delete on billing_run
begin select raise(abort, 'P16: a billing run is never forgotten'); end;
--;
create trigger billing_run_is_final before update on billing_run
begin select raise(abort, 'P16: a billing run is never changed'); end;
--;
create trigger drafted_is_kept before delete on drafted
begin select raise(abort, 'P16: what was drafted is never forgotten'); end;
--;
create trigger drafted_is_final before update on drafted
begin select raise(abort, 'P16: what was drafted is never changed'); end;
--;
create trigger approval_is_kept before delete on approval
begin select raise(abort, 'P16: an approval is never forgotten'); end;
--;
create trigger approval_is_final before update on approval
begin select raise(abort, 'P16: an approval is never changed'); end;
--;
create trigger draft_issued_is_kept before delete on draft_issued
begin select raise(abort, 'P16: where a document comes from is never forgotten'); end;
--;
create trigger draft_issued_is_final before update on draft_issued
begin select raise(abort, 'P16: where a document comes from is never changed'); end;
