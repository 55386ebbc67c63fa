"""A cell is a store in a schema of its own: what shard-postgresql.md rests on, and what it says of tables."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.months import keep_months
from cloud_collector.store.store import Store, migrate
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from tests.postgres import new_schema
from tests.sealing import NOW_MS, OPERATOR, PaperCollector, PaperGateway

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "shard-postgresql.md"
PUMP: Final = ("pump", "energy")


def listed() -> tuple[dict[str, tuple[str, bool]], dict[str, str], set[str]]:
    """The page's three lists: by a column, with another table, one for a cell."""
    by_row: dict[str, tuple[str, bool]] = {}
    along: dict[str, str] = {}
    alone: set[str] = set()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not re.match(r"\| `\w+` \|", line):
            continue
        name = cells[0].strip("`")
        assert name not in by_row.keys() | along.keys() | alone, f"{name} stands there twice"
        if len(cells) == 3:
            by_row[name] = (cells[1].strip("`"), cells[2].startswith("yes"))
        elif re.fullmatch(r"`\w+`", cells[1]):
            along[name] = cells[1].strip("`")
        else:
            alone.add(name)
    return by_row, along, alone


@pytest.fixture(scope="module")
def schema() -> dict[str, list[list[str]]]:
    """Every table with its unique keys."""
    database = SqliteDatabase(":memory:")
    migrate(database)
    found = {}
    names = database.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    for (table,) in names:
        key = database.execute(f"select name from pragma_table_info('{table}') where pk > 0 order by pk")
        keys = [[str(row[0]) for row in key]]
        indexes = database.execute(f"select name, origin from pragma_index_list('{table}') where \"unique\" = 1")
        for index, origin in indexes:
            if origin != "pk":
                keys.append([str(row[0]) for row in database.execute(f"select name from pragma_index_info('{index}')")])
        found[str(table)] = keys
    database.close()
    return found


def test_the_page_names_every_table_once_and_no_other(schema: dict[str, list[list[str]]]) -> None:
    by_row, along, alone = listed()
    named = by_row.keys() | along.keys() | alone
    assert named == schema.keys(), "a new table belongs into one of the three lists of docs/how-to/shard-postgresql.md"
    assert set(along.values()) <= named


def test_the_page_is_right_about_which_keys_hold_the_column(schema: dict[str, list[list[str]]]) -> None:
    by_row, _, _ = listed()
    for table, (column, said) in by_row.items():
        assert all(column in key for key in schema[table]) is said, (table, column, schema[table])


def test_what_the_page_distributes_by_row_is_what_can_be() -> None:
    by_row, _, alone = listed()
    text = PAGE.read_text(encoding="utf-8")
    for table, column in re.findall(r"create_distributed_table\('(\w+)', '(\w+)'", text):
        assert by_row[table] == (column, True)
    for table in re.findall(r"create_reference_table\('(\w+)'\)", text):
        assert table in alone


@pytest.fixture
def cells() -> Iterator[tuple[PaperCollector, PaperCollector]]:
    """Two collectors on two schemas of one database, which know a gateway of the same name with different keys."""
    made = []
    for _ in range(2):
        store = Store(PostgresDatabase(new_schema()))
        made.append(
            PaperCollector(
                store=store, intake=Intake(store, CollectorSettings(), OPERATOR), settings=CollectorSettings()
            )
        )
    yield made[0], made[1]
    for each in made:
        each.store.close()


def test_two_cells_in_one_database_know_nothing_of_each_other(cells: tuple[PaperCollector, PaperCollector]) -> None:
    one, two = cells
    gateways = [PaperGateway(), PaperGateway()]
    for cell, gateway, reading in zip(cells, gateways, (5, 7), strict=True):
        gateway.birth((*PUMP, 0, 0))
        gateway.usage((*PUMP, 0, [reading]))
        add_gateway(cell.store, gateway.name, gateway.key.public, 0)
        cell.take(gateway.topic, gateway.lines, NOW_MS)
    assert [cell.store.rows("facts_count") for cell in cells] == [[(2,)], [(2,)]]
    raw = [cell.store.rows("facts", 0, 10)[1][13] for cell in cells]
    assert bytes(raw[0]) == gateways[0].lines[1]
    assert bytes(raw[1]) == gateways[1].lines[1]
    assert [cell.store.rows("scheduler_take") for cell in cells] == [[(1,)], [(1,)]], "each has a scheduler of its own"
    assert keep_months(one.store, 2026, 9, 9) == ["span_2026_09"]
    assert keep_months(two.store, 2026, 9, 9) == ["span_2026_09"], "and its own partitions"


def test_nothing_in_a_store_refers_to_anything_outside_of_its_schema(
    cells: tuple[PaperCollector, PaperCollector],
) -> None:
    outside = """
        select count(*) from pg_constraint k join pg_class here on here.oid = k.conrelid
        join pg_class there on there.oid = k.confrelid
        where here.relnamespace = current_schema()::regnamespace and there.relnamespace <> here.relnamespace
        union all
        select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
        where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal
        and p.pronamespace <> c.relnamespace
        union all
        select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = current_schema()::regnamespace and not t.tgisinternal
        and pg_get_functiondef(t.tgfoid) not like '%raise exception%'
    """
    assert cells[0].store._database.execute(outside) == [(0,), (0,), (0,)]
