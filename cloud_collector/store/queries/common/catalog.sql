-- name: catalog_revisions
select number, sha256, effective_at from catalog_revision order by number;

-- name: catalog_newest
select number, sha256, effective_at, content from catalog_revision order by number desc limit 1;

-- name: catalog_add
insert into catalog_revision (number, sha256, applied_at, effective_at, content) values (?, ?, ?, ?, ?);

-- name: catalog_applied
select number, sha256, applied_at, effective_at, content from catalog_revision order by number;
