-- What look-back bars: used, never billed. A fact: the latest row of a key holds, `line` null where nothing is barred
-- any more.
create table too_late (
    id integer primary key,
    contract text not null,
    period_start integer not null, -- the billing period that was rated
    charge text not null,
    kind text not null,
    device text not null, -- empty: the contract's
    part text not null, -- the charge's window, or empty
    segment_start integer not null,
    line text, -- as an invoice would have printed it, as JSON
    seen_at integer not null -- Unix seconds
);
--;
create index too_late_by_contract on too_late (contract);
--;
create trigger too_late_is_kept before delete on too_late
begin select raise(abort, 'P16: what came too late is never deleted'); end;
--;
create trigger too_late_is_final before update on too_late
begin select raise(abort, 'P16: what came too late is never changed'); end;
