"""The portal writes dates, instants and figures as its account's people do; programs get ISO and plain decimals."""

import re
from datetime import date
from typing import Final

import pytest
from fastapi import FastAPI

from cloud_collector.invoice.locale import locale_named
from cloud_collector.web.app import create_app
from cloud_collector.web.site import Moment
from tests.api_world import NOW, filled, site_of
from tests.visitors import ask

ISO: Final = re.compile(r"\b20\d\d-\d\d-\d\d\b")
PAGES: Final = (
    "",
    "/devices",
    "/devices/roof-1/sdm630-1",
    "/days/2026-10-05",
    "/days/2026-10-05/roof-1/sdm630-1/energy",
    "/usage/roof-1/sdm630-1/energy?from=2026-10-01",
    "/lines/roof-1/main/5f2c91aa/3",
    "/cost/acme-chargers",
    "/invoices",
    "/invoices/INV-1",
    "/invoices/INV-1/lines/3",
    "/warnings",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    path = tmp_path_factory.mktemp("locale") / "collector.db"
    return create_app(site_of(path, filled(path)))


@pytest.mark.parametrize("page", PAGES)
def test_no_page_of_an_account_with_a_locale_shows_a_date_in_iso(app: FastAPI, page: str) -> None:
    """But for what stands in attributes, commands and sealed bytes; the log of who looked quotes what it wrote then."""
    html = ask(app, "GET", f"/portal/acme{page}").text
    main = html[html.index("<main") :]
    seen = re.sub(r"<(pre|code)\b.*?</\1>|<[^>]*>", " ", main, flags=re.DOTALL)
    assert ISO.findall(seen) == []
    assert re.search(r"\b\d{1,2}\.\d{1,2}\.2026\b", seen), "and it shows some in the way of its people"
    for at in re.findall(r'<time datetime="([^"]*)"', main):
        assert re.fullmatch(r"20\d\d-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", at)


@pytest.mark.parametrize("page", ["/days/2026-10-05", "/devices/roof-1/sdm630-1", "/invoices"])
def test_quantities_are_written_so_too_and_stay_plain_for_programs(app: FastAPI, page: str) -> None:
    shown = ask(app, "GET", f"/portal/acme{page}").text
    sheet = ask(app, "GET", f"/portal/acme{page}.csv").text
    figures = [each for each in re.findall(r",(\d+\.\d+),", sheet) if float(each)]
    assert figures
    for each in figures:
        assert locale_named("fi_FI").number(each) in shown
        assert f">{each}<" not in shown


def test_a_moment_without_a_locale_speaks_iso() -> None:
    plain = Moment(now_ms=NOW * 1_000, zone="Europe/Helsinki")
    assert plain.local(NOW) == "2026-11-06 00:00"
    german = Moment(now_ms=NOW * 1_000, zone="Europe/Helsinki", locale=locale_named("de_DE"))
    assert german.local(NOW) == "06.11.2026 00:00"
    assert german.time(NOW) == '<time datetime="2026-11-05T22:00:00Z">06.11.2026 00:00</time>'


def test_the_hour_that_the_clocks_go_through_twice_says_which_one_it_is() -> None:
    """25 October 2026, 04:00 in Helsinki: back to 03:00."""
    moment = Moment(now_ms=NOW * 1_000, zone="Europe/Helsinki")
    first = 1_792_888_200
    assert [moment.clock(first + hours * 3_600) for hours in range(-1, 3)] == [
        "02:30",
        "03:30 (+03:00)",
        "03:30 (+02:00)",
        "04:30",
    ]
    assert moment.local(first) == "2026-10-25 03:30 (+03:00)"


@pytest.mark.parametrize(
    ("locale", "short"),
    [
        ("fi_FI", "6.11."),
        ("de_DE", "06.11."),
        ("en_GB", "6 Nov"),
        ("en_US", "Nov 6"),
        ("fr_FR", "06/11"),
        ("ja_JP", "11/06"),
        ("nl_NL", "06-11"),
        (None, "11-06"),
    ],
)
def test_a_date_below_a_chart_has_no_year(locale: str | None, short: str) -> None:
    assert locale_named(locale).short(date(2026, 11, 6)) == short
