-- What an operator did to a device: who, from when on, why. A fact: a later one may follow it, none replaces it.
create table device_state (
    id integer primary key,
    gateway text not null,
    device text not null, -- as its gateway calls it
    state text not null check (state in ('provisioned', 'active', 'suspended', 'ended')),
    at integer not null, -- Unix seconds: from when on
    said_at integer not null, -- Unix milliseconds
    by_whom text not null,
    reason text not null,
    unique (gateway, device, state, at)
);
--;
create trigger device_state_is_kept before delete on device_state
begin select raise(abort, 'P16: what was done to a device is never forgotten'); end;
--;
create trigger device_state_is_final before update on device_state
begin select raise(abort, 'P16: what was done to a device is never changed'); end;
