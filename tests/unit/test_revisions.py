"""Revisions of the catalog: many over the years, each read only where something of it is asked for."""

from pathlib import Path
from typing import Final
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cloud_collector.billing import revisions as room
from cloud_collector.billing.case import stated_starts
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.cli.main import app
from cloud_collector.contracts.catalog import Catalog
from cloud_collector.contracts.read import load_catalog
from cloud_collector.contracts.revision import Revision, plans_revision, terms_in_force
from cloud_collector.contracts.terms import UnknownContract
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from shared.latest import Latest
from tests.quoting import catalog_text
from tests.unit.billing_samples import CATALOG, OCTOBER, new_store

SECOND: Final = (
    CATALOG[CATALOG.index("[contracts.acme-chargers]") :].replace("acme-chargers", "acme").replace("-1/", "-2/")
)


def catalog_with(*names: str) -> Catalog:
    """A catalog with these contracts, and `c`."""
    more = "".join(f'\n[contracts.{name}]\naccount = "acme"\nplan = "p"\nstart = 2026-01-01\n' for name in names)
    return load_catalog(catalog_text() + more)


CATALOGS: Final = {names: catalog_with(*names) for names in ((), ("a",), ("b",), ("a", "b"))}


@given(
    held=st.lists(st.tuples(st.sampled_from(sorted(CATALOGS)), st.integers(0, 9)), min_size=1, max_size=6),
    contract=st.sampled_from(("a", "b", "c")),
    start=st.integers(0, 9),
)
def test_the_revision_of_a_period_is_the_newest_in_effect_that_knows_the_contract_else_the_first(
    held: list[tuple[tuple[str, ...], int]], contract: str, start: int
) -> None:
    known = [
        Revision(number=number, effective_at=at, read=lambda names=names: CATALOGS[names])  # type: ignore[misc]
        for number, (names, at) in enumerate(held, start=1)
    ]
    knowing = [each for each in known if contract in each.catalog.contracts]
    in_effect = [each for each in knowing if each.effective_at <= start]
    if knowing:
        assert plans_revision(known, contract, start) is (in_effect[-1] if in_effect else knowing[0])
    else:
        with pytest.raises(UnknownContract):
            plans_revision(known, contract, start)


def test_of_many_revisions_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract that came late, in its first period: every older revision is asked whether it knew it."""
    store = Store(SqliteDatabase(":memory:"))
    for number in range(1, 101):
        text = CATALOG + (SECOND if number >= 60 else "") + f"\n# {number}\n"
        apply(store, load_catalog(text), now_ms=(OCTOBER + number) * 1_000)
    read: list[str] = []

    def reading(text: str) -> Catalog:
        read.append(text.rpartition("#")[2].strip())
        return load_catalog(text)

    monkeypatch.setattr(room, "load_catalog", reading)
    known = revisions(store)
    assert read == []
    assert plans_revision(known, "acme", OCTOBER - 5).number == 60
    assert plans_revision(known, "acme-chargers", OCTOBER + 70).number == 70
    assert plans_revision(known, "acme-chargers", OCTOBER - 5).number == 1
    assert known[-1].catalog.contracts
    assert read == ["60", "70", "1", "100"]
    for _ in range(2):
        assert plans_revision(revisions(store), "acme", OCTOBER - 5).number == 60
    assert len(read) == 4, "and each once"


def test_whether_late_evidence_changes_a_start_is_read_once_of_each_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few catalogs fit into memory at once."""
    store = Store(SqliteDatabase(":memory:"))
    said = CATALOG.replace('grace = "20d"', 'grace = "20d"\nlate_evidence = "adjust"')
    for number in range(1, 11):
        apply(store, load_catalog(said + f"\n# {number} of ten\n"), now_ms=(OCTOBER + number) * 1_000)
    read: list[str] = []

    def reading(text: str) -> Catalog:
        read.append(text)
        return load_catalog(text)

    monkeypatch.setattr(room, "load_catalog", reading)
    monkeypatch.setattr(room, "_PARSED", Latest[str, Catalog](2))
    for _ in range(3):
        assert stated_starts(store, revisions(store), ["acme-chargers"]) == ()
    assert len(read) == 10


def test_terms_keep_no_catalog_that_nobody_else_keeps() -> None:
    catalog = load_catalog(CATALOG + "# soon forgotten")
    terms = terms_in_force(catalog, catalog, catalog, "acme-chargers")
    assert terms_in_force(catalog, catalog, catalog, "acme-chargers") is terms
    held = ref(catalog)
    del catalog
    assert held() is None


@pytest.mark.parametrize("words", [(), ("1",), ("--json",)])
def test_a_revision_is_shown_by_a_process_that_has_read_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    new_store(tmp_path / "collector.db").close()
    monkeypatch.setattr(room, "_PARSED", Latest[str, Catalog](1))
    shown = CliRunner().invoke(app, ["catalog", "show", *words, "--store", str(tmp_path / "collector.db")])
    assert shown.exit_code == 0, shown.output
    assert "acme-chargers" in shown.stdout
