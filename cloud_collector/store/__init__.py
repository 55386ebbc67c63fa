"""The database: named queries and migrations."""
