"""Where the store lies: a file of SQLite, or a PostgreSQL that several collectors may share."""

from importlib.util import find_spec

from cloud_collector.limits import STORE_LOG_PAGES
from cloud_collector.settings import CollectorSettings
from shared.effects.database import Database
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseFailed


def open_database(known: CollectorSettings, *, read_only: bool = False) -> Database:
    """The database that the settings name; raises DatabaseError."""
    return open_postgres(known.store, read_only=read_only) if known.store else _open_file(known, read_only=read_only)


def open_postgres(url: str, *, read_only: bool = False) -> Database:
    """The PostgreSQL at this URL; its library is needed here alone. Raises DatabaseError."""
    if find_spec("psycopg") is None:
        raise DatabaseFailed("a store on PostgreSQL needs the library psycopg: pip install 'meterseal[postgres]'")
    from shared.effects.postgres import PostgresDatabase  # noqa: PLC0415 (an extra)

    return PostgresDatabase(url, read_only=read_only)


def is_there(known: CollectorSettings) -> bool:
    """Whether a store has begun where the settings say; raises DatabaseError where that cannot be known."""
    if not known.store:
        return known.store_path.exists()
    database = open_postgres(known.store, read_only=True)
    try:
        begun = "select 1 from pg_tables where tablename = 'migration' and schemaname = current_schema()"
        return bool(database.execute(begun))
    finally:
        database.close()


def place_of(known: CollectorSettings) -> str:
    """How the store is called in a sentence."""
    if not known.store:
        return str(known.store_path)
    return known.store.partition("?")[0]


def is_url(text: str) -> bool:
    """Whether it names a PostgreSQL and not a file."""
    return text.startswith(("postgresql://", "postgres://"))


def _open_file(known: CollectorSettings, *, read_only: bool) -> Database:
    return SqliteDatabase(known.store_path, read_only=read_only, log_pages=STORE_LOG_PAGES)
