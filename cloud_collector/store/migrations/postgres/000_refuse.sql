-- What the migrations' triggers call to refuse a statement, with their sentence.
create function refuse() returns trigger language plpgsql as $$ begin raise exception '%', tg_argv[0]; end $$
