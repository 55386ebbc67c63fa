-- A month of usage rows gets a partition of its own; rows of it that came before lie in it afterwards. False where it
-- has one already.
create function keep_month(name text, first bigint, following bigint) returns bigint language plpgsql as $$
begin
    if to_regclass(name) is not null then
        return 0;
    end if;
    execute format('create table %I (like span including all)', name);
    execute format(
        'with moved as (delete from span_other_months where start >= %s and start < %s returning *) '
        'insert into %I select * from moved', first, following, name);
    execute format('alter table span attach partition %I for values from (%s) to (%s)', name, first, following);
    return 1;
end $$
