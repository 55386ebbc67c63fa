-- Facts: revocation, revoked_at, adoption: what the operator has decided. rotation and disowned follow from lines and facts
-- and are recomputed by `rebuild`. `rejudge` names gateways whose rows wait to follow a decision.
create table revocation (
    id integer primary key,
    gateway text not null references gateway (name),
    key text not null,
    at integer not null
)
--;
create index revocation_gateway on revocation (gateway)
--;
-- Up to which position of each chain the key stays valid; a chain that is not named here is forbidden to it.
create table revoked_at (
    revocation integer not null references revocation (id),
    log text not null,
    epoch text not null,
    last integer not null,
    primary key (revocation, log, epoch)
) without rowid
--;
create trigger revocation_kept before delete on revocation begin select raise(abort, 'a revocation is never taken back'); end
--;
create trigger revoked_at_kept before delete on revoked_at begin select raise(abort, 'a revocation is never taken back'); end
--;
-- `chains`: the highest chain id of the gateway when the operator decided; what came later is not decided.
create table adoption (
    id integer primary key,
    gateway text not null references gateway (name),
    epoch text not null,
    chains integer not null,
    at integer not null
)
--;
create index adoption_gateway on adoption (gateway)
--;
create table rotation (
    line integer primary key,
    chain integer not null,
    seq integer not null,
    old text not null,
    key text not null,
    public blob not null check (length(public) = 32)
)
--;
create index rotation_chain on rotation (chain, seq)
--;
create table disowned (
    line integer primary key,
    chain integer not null,
    reason text not null
)
--;
create index disowned_chain on disowned (chain)
--;
create table rejudge (gateway text primary key) without rowid
