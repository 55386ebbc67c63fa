-- name: changed_elsewhere
pragma data_version;
