-- Whether whoever approved was signed in, as a person; before, and on the command line, a name was said.
alter table approval add column signed_in integer not null default 0 check (signed_in in (0, 1));
