"""One schema and one set of names on both engines: what a change of the store must bring for each."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from cloud_collector.store.dialect import for_postgres
from cloud_collector.store.store import Store, migrate, migrations, named_queries
from shared.effects.database import Database
from shared.effects.postgres import PostgresDatabase, _native
from shared.effects.sqlite import SqliteDatabase
from shared.errors import DatabaseError, DatabaseFailed
from tests.postgres import new_schema

PARTS: Final = ("span",)
"""Tables that PostgreSQL keeps by month; their unique index has `start` in it and stands in for the primary key."""
Schema = dict[str, object]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(new_schema())
    Store(database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def sqlite() -> SqliteDatabase:
    database = SqliteDatabase(":memory:")
    migrate(database)
    return database


def test_every_migration_is_taken_by_postgres() -> None:
    database = PostgresDatabase(new_schema())
    try:
        migrate(database)
    except DatabaseError as error:
        pytest.fail(
            f"{error}. Write the migration in the words that cloud_collector/store/dialect.py knows (integer, "
            "text, blob, without rowid, triggers that raise(abort, '…')), or give it a file of its own in "
            "migrations/postgres/",
            pytrace=False,
        )
    finally:
        database.close()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_no_two_migrations_have_one_number(engine: str) -> None:
    numbers = [version for version, _ in migrations(engine)]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    assert not twice, f"two migrations have the number {twice}: only one would be applied; rename the newer one"


@pytest.mark.parametrize("name", sorted(named_queries("sqlite")))
def test_every_query_is_prepared_by_postgres(postgres: PostgresDatabase, name: str) -> None:
    sql = named_queries("postgres").get(name)
    assert sql is not None, (
        f"{name} stands in queries/sqlite alone: put one that says the same into queries/postgres, "
        "or one that both engines take into queries/common"
    )
    answer = postgres._connection.pgconn.prepare(b"", _native(sql).encode())
    why = answer.error_message.decode().partition("\n")[0]
    assert not why, (
        f"PostgreSQL does not take the query {name}: {why}. Write it so that both engines do (an alias for a subquery, "
        "the table's name before a column in `do update set`, no max() of two values, no `limit -1`), or put a variant "
        "under the same name into queries/postgres"
    )


def test_no_query_is_known_to_postgres_alone() -> None:
    alone = named_queries("postgres").keys() - named_queries("sqlite").keys()
    assert not alone, f"{sorted(alone)} stand in queries/postgres alone: put them into queries/sqlite or queries/common"


def test_a_variant_takes_as_many_parameters_and_answers_as_many_columns(
    postgres: PostgresDatabase, sqlite: SqliteDatabase
) -> None:
    for name, sql in named_queries("postgres").items():
        other = named_queries("sqlite")[name]
        if sql == other or not other.lstrip().startswith("select"):
            continue
        postgres._connection.pgconn.prepare(b"", _native(sql).encode())
        told = postgres._connection.pgconn.describe_prepared(b"")
        assert told.nparams == _parameters(other), f"the variants of {name} take different parameters"
        cursor = sqlite._connection.execute(f"{other}", [None] * told.nparams)
        assert not told.nfields or told.nfields == len(cursor.description), (
            f"the variants of {name} answer different columns"
        )


def test_both_engines_have_the_same_tables_columns_and_keys(postgres: PostgresDatabase, sqlite: SqliteDatabase) -> None:
    left, right = _sqlite_schema(sqlite), _postgres_schema(postgres)
    for table in sorted(left.keys() | right.keys()):
        assert left.get(table) == right.get(table), (
            f"the table {table} differs: SQLite has {left.get(table)}, PostgreSQL has {right.get(table)}. A migration "
            "for one engine needs its like for the other: migrations/ is for both, migrations/postgres/ for it alone"
        )


def test_both_engines_have_the_same_indexes_and_triggers(postgres: PostgresDatabase, sqlite: SqliteDatabase) -> None:
    """P5, P14, P16: what the schema forbids, both forbid."""
    kept = "select name, tbl_name, type from sqlite_master where type in ('index', 'trigger') and sql is not null"
    left = {(name, table, kind) for name, table, kind in sqlite.execute(kept)}
    right = set(
        postgres.execute(
            "select c.relname, t.relname, 'index' from pg_index i join pg_class c on c.oid = i.indexrelid "
            "join pg_class t on t.oid = i.indrelid where t.relnamespace = current_schema()::regnamespace "
            "and not t.relispartition and not exists (select 1 from pg_constraint k where k.conindid = c.oid "
            "and k.contype in ('p', 'u')) union all "
            "select t.tgname, c.relname, 'trigger' from pg_trigger t join pg_class c on c.oid = t.tgrelid "
            "where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal"
        )
    )
    assert right - left == {("span_position", "span", "index")}
    assert left - right == set(), "an index or a trigger that PostgreSQL lacks: see migrations/postgres/"


def test_a_second_process_finds_nothing_to_do(postgres: PostgresDatabase) -> None:
    before = postgres.execute("select version from migration order by version")
    migrate(postgres)
    assert postgres.execute("select version from migration order by version") == before
    assert [version for (version,) in before] == [version for version, _ in migrations("postgres")]


def test_a_newer_schema_is_refused() -> None:
    database = PostgresDatabase(new_schema())
    migrate(database)
    database.execute("insert into migration (version) values (999)")
    with pytest.raises(DatabaseFailed, match="schema 999"):
        Store(database)
    database.close()


def test_an_unknown_trigger_stays_as_it_stands_so_that_postgres_refuses_it() -> None:
    assert for_postgres("create table t (id integer primary key, at integer, b blob not null) without rowid;") == (
        "create table t (id bigint generated by default as identity primary key, at bigint, b bytea not null)"
    )
    assert for_postgres(
        "create trigger k before update of a, b on t begin select raise(abort, 'it''s kept'); end;"
    ) == ("create trigger k before update of a, b on t for each row execute function refuse('it''s kept')")
    assert "begin update" in for_postgres("create trigger k after insert on t begin update u set a = 1; end")


def _parameters(sql: str) -> int:
    numbered = [int(found) for found in re.findall(r"\?(\d+)", sql)]
    return max(numbered, default=0) or sql.count("?")


def _sqlite_schema(database: Database) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for (table,) in database.execute(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    ):
        columns = database.execute(f"select name, type, \"notnull\", pk from pragma_table_info('{table}')")
        kinds = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}
        unique = set()
        for index, origin in database.execute(
            f"select name, origin from pragma_index_list('{table}') where \"unique\" = 1"
        ):
            if origin == "u":
                unique.add(tuple(row[0] for row in database.execute(f"select name from pragma_index_info('{index}')")))
        refs: dict[int, list[tuple[str, str, str]]] = {}
        for id_, target, source, to in database.execute(
            f'select id, "table", "from", "to" from pragma_foreign_key_list(\'{table}\')'
        ):
            refs.setdefault(id_, []).append((source, target, to))
        found[table] = {
            "columns": [(name, kinds[kind.upper()], bool(notnull or pk)) for name, kind, notnull, pk in columns],
            "key": [] if table in PARTS else [row[0] for row in sorted(columns, key=lambda row: row[3]) if row[3]],
            "unique": unique,
            "references": {tuple(sorted(each)) for each in refs.values()},
        }
    return found


def _postgres_schema(database: Database) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    tables = database.execute(
        "select oid::bigint, relname from pg_class where relnamespace = current_schema()::regnamespace "
        "and relkind in ('r', 'p') and not relispartition"
    )
    for oid, table in tables:
        columns = database.execute(
            "select attname, format_type(atttypid, null), attnotnull from pg_attribute "
            "where attrelid = ?::bigint::oid and attnum > 0 and not attisdropped order by attnum",
            (oid,),
        )
        keys = database.execute(
            "select k.oid::bigint, k.contype::text, c.relname, k.conkey::text, k.confkey::text, k.confrelid::bigint "
            "from pg_constraint k left join pg_class c on c.oid = k.confrelid where k.conrelid = ?::bigint::oid",
            (oid,),
        )
        named = {kind: [row for row in keys if row[1] == kind] for kind in ("p", "u", "f")}
        found[str(table)] = {
            "columns": [(name, kind, bool(notnull)) for name, kind, notnull in columns],
            "key": _columns(database, oid, named["p"][0][3]) if named["p"] else [],
            "unique": {tuple(_columns(database, oid, row[3])) for row in named["u"]},
            "references": {
                tuple(
                    sorted(
                        (source, row[2], target)
                        for source, target in zip(
                            _columns(database, oid, row[3]), _columns(database, row[5], row[4]), strict=True
                        )
                    )
                )
                for row in named["f"]
            },
        }
    return found


def _columns(database: Database, table: int, numbers: str) -> list[str]:
    rows = database.execute(
        "select a.attname from unnest(?::bigint[]) with ordinality n (at, place) join pg_attribute a "
        "on a.attrelid = ?::bigint::oid and a.attnum = n.at order by n.place",
        (numbers, table),
    )
    return [row[0] for row in rows]
