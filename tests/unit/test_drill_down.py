"""Every number opens: from the month's total and from an issued line, link by link, down to the signed line."""

import re
from fractions import Fraction
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.run import bill_due
from cloud_collector.billing.void import Voiding, void
from cloud_collector.store.store import Store
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from tests.portal_site import site_of
from tests.unit.billing_samples import (
    CATALOG,
    NOVEMBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)
from tests.visitors import ask

DAY: Final = 86_400
NOW: Final = NOVEMBER + 4 * DAY
CLICKS_MAX: Final = 6
"""From a number on the month's page or on an invoice to the report that a gateway signed."""
BRANCHES_MAX: Final = 3
"""Links that are tried on a page: nobody should have to search for the way down."""
OFTEN: Final = ("graduated", "windows and a discount", "a demand")
"""What each change is judged by; a release by all of them."""
ENERGY: Final = CATALOG[
    CATALOG.index('[[plans.charger.charges]]\nname = "Energy"') : CATALOG.index("[[plans.charger.taxes]]")
]
USED: Final = '[[plans.charger.charges]]\nname = "Energy"\ntype = "usage"\nmeter = "energy"\nmodel = "per_unit"\n'
METERED: Final = '[meters.energy]\nunit = "kWh"\naggregate = "sum"\n'
WINDOWS: Final = """windows = [
  { name = "Night", from = "22:00", to = "07:00", price = 0.10 },
  { name = "Day", price = 0.30 },
]
"""
PLANS: Final = {
    "graduated": ENERGY,
    "windows and a discount": f"{USED}{WINDOWS}discount_percent = 10\n",
    "each device its own, at least": f'{USED}price = 0.20\nper = "device"\nminimum = 1000\n',
    "a demand": f"{USED}price = 2.00\n",
    "a peak": f"{USED}price = 2.00\n",
    "a mean": f"{USED}price = 2.00\n",
    "a count": f"{USED}price = 0.02\n",
    "time in use": f"{USED}price = 0.02\n",
}
METERS: Final = {
    "a demand": '[meters.energy]\nunit = "kWh"\naggregate = "max"\ndemand = "30m"\n',
    "a peak": '[meters.energy]\nunit = "kWh"\naggregate = "max"\n',
    "a mean": '[meters.energy]\nunit = "kWh"\naggregate = "average"\n',
    "a count": '[meters.energy]\nunit = "1"\naggregate = "count"\n',
    "time in use": '[meters.energy]\nunit = "h"\naggregate = "active_time"\n',
}
EVENTS: Final = '[[plans.charger.charges]]\nname = "Fitting"\ntype = "one_time"\non = "activated"\nprice = 30\n\n'


class Pages:
    """A customer's portal, and what was fetched of it."""

    def __init__(self, path: Path, plan: str) -> None:
        self.plan = plan
        self.app = create_app(site_of(path, SimpleClock(utc_ms=NOW * 1_000)))
        self._held: dict[str, str] = {}

    def main(self, path: str) -> str:
        """What stands in the page's body; it must be there."""
        path = path.partition("#")[0]
        if path not in self._held:
            answer = ask(self.app, "GET", path)
            assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
            self._held[path] = answer.text.partition("<main")[2].partition("</main>")[0]
        return self._held[path]

    def data(self, path: str) -> Any:
        """The page's JSON; its address may ask for something."""
        bare, mark, asked = path.partition("?")
        answer = ask(self.app, "GET", f"{bare}.json{mark}{asked}")
        assert answer.status_code == 200, (path, answer.text[:300])
        return answer.json()

    def clicks_to_a_signed_line(self, path: str) -> int:
        """By the shortest way that leads down: never back by the crumbs."""
        at, seen = [path], {path}
        for clicks in range(1, CLICKS_MAX + 1):
            following: list[str] = []
            for each in at:
                if "/lines/" in each and "/invoices/" not in each:
                    assert "signed by the gateway's key, and unchanged since" in self.main(each)
                    return clicks
                below = re.sub(r'<p class="crumbs">.*?</p>', "", self.main(each))
                fresh = dict.fromkeys(link for link in links(below) if link not in seen and is_down(link))
                following += list(fresh)[:BRANCHES_MAX]
                seen |= set(fresh)
            at = following[: 4 * BRANCHES_MAX]
        raise AssertionError(f"{path} leads to no signed line within {CLICKS_MAX} clicks")


def links(text: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'<a [^>]*?href="([^"#]+)"', text)]


def is_down(path: str) -> bool:
    return path.startswith("/portal/") and not re.search(r"\.(json|csv|zip|html)|/as/|/check|/dispute|/paper", path)


def numbers(text: str) -> list[tuple[str, list[str]]]:
    """Every number cell of the tables in a text, with its links."""
    cells = re.findall(r'<td[^>]*class="[^"]*number[^"]*"[^>]*>(.*?)</td>', text, re.DOTALL)
    return [(re.sub("<[^>]+>", "", cell).strip(), re.findall(r'href="([^"]+)"', cell)) for cell in cells]


def filled(path: Path, plan: str, *, credited: bool = False, billed: bool = True) -> None:
    """October is billed, or only over; November runs, under this plan."""
    catalog = CATALOG.replace(ENERGY, EVENTS + PLANS[plan] + "\n").replace(METERED, METERS.get(plan, METERED))
    if plan in METERS:
        catalog = re.sub(r"(?s)rule = \"first_use\".*?grace = \"20d\"", 'rule = "immediate"', catalog)
    store, archive = new_store(path, catalog), MemoryArchive()
    receive(store, october(Gateway(), days=35).lines, at=NOW)
    if billed:
        bill_due(store, NOW * 1_000, store_biller(archive))
    if credited:
        voiding = Voiding(number="INV-1", reason="a test", by="Anna")
        void(store, voiding, now_ms=NOW * 1_000, key=RECEIPT_KEY, archive=archive)
    store.close()


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=() if each in OFTEN else pytest.mark.deep) for each in PLANS]
)
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    path = tmp_path_factory.mktemp("drill") / "collector.db"
    filled(path, request.param)
    return Pages(path, request.param)


def test_every_number_of_how_the_month_is_made_opens_down_to_a_signed_line(pages: Pages) -> None:
    month = pages.main("/portal/acme")
    made = month.partition("data-made")[2].partition("</section>")[0]
    found = numbers(made)
    assert len(found) >= 5, "charges, net, tax, total"
    for said, where in [*found, *((line, links(line)) for line in re.findall("<li>.*?</li>", made))]:
        assert where, f"{said} leads nowhere"
        assert min(pages.clicks_to_a_signed_line(unescape(each)) for each in where) <= CLICKS_MAX


def test_every_line_of_the_month_opens_down_to_a_signed_line(pages: Pages) -> None:
    found = numbers(pages.main("/portal/acme/cost/acme-chargers"))
    assert found
    for said, where in found:
        assert where, f"{said} leads nowhere"
        assert pages.clicks_to_a_signed_line(where[0]) <= CLICKS_MAX


def test_every_line_and_step_of_an_issued_invoice_opens_down_to_a_signed_line(pages: Pages) -> None:
    invoice = pages.main("/portal/acme/invoices/INV-1")
    lines = invoice.partition('aria-label="Lines"')[2].partition("</table>")[0]
    opened = [where for said, where in numbers(lines) if "." in said or "," in said]
    steps = [
        links(each) for each in re.findall("<li>.*?</li>", invoice.partition('id="sums"')[2].partition("</section>")[0])
    ]
    assert opened
    assert steps
    for where in (each for each in [*opened, *steps] if each):
        assert pages.clicks_to_a_signed_line(where[0]) <= CLICKS_MAX
    assert sum(1 for where in steps if not where) == 0


def metered(lines: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return [(at, each) for at, each in enumerate(lines, start=1) if each["kind"] == "usage"]


def test_what_stands_under_a_quantity_comes_to_that_quantity(pages: Pages) -> None:
    """P17: a line's devices sum to the line, a device's days to the device; a maximum is that of its moment."""
    base = "/portal/acme/cost/acme-chargers"
    paths = [(f"{base}/{each['line']}", each) for _, each in metered(pages.data(base))]
    billed = pages.data("/portal/acme/invoices/INV-1")["lines"]
    paths += [(f"/portal/acme/invoices/INV-1/lines/{at}", each) for at, each in metered(billed)]
    assert len(paths) >= 2
    for path, line in paths:
        opened = pages.data(path)
        if line["quantity"] == "0":
            continue
        if pages.plan in {"a demand", "a peak"}:
            assert sum(Fraction(each["quantity"]) for each in opened["deciding"]) == Fraction(line["quantity"])
            continue
        devices = {each["device"]: Fraction(each["quantity"]) for each in opened["devices"]}
        if pages.plan != "a mean":
            assert sum(devices.values()) == Fraction(line["quantity"])
        for link in {each for each in links(pages.main(path)) if "/usage/" in each}:
            device = "/".join(link.split("/")[4:6])
            days = [Fraction(day["quantity"]) for day in pages.data(link) if day["quantity"] is not None]
            if pages.plan != "a mean":
                assert sum(days) == devices[device]


def test_a_credit_note_opens_onto_the_line_that_it_takes_back(tmp_path: Path) -> None:
    filled(tmp_path / "collector.db", "graduated", credited=True)
    pages = Pages(tmp_path / "collector.db", "graduated")
    (note,) = [each["number"] for each in pages.data("/portal/acme/invoices") if each["kind"] == "credit_note"]
    for at in range(1, 1 + len(pages.data(f"/portal/acme/invoices/{note}")["lines"])):
        path = f"/portal/acme/invoices/{note}/lines/{at}"
        assert f"/portal/acme/invoices/INV-1/lines/{at}" in links(pages.main(path))
        assert pages.clicks_to_a_signed_line(path) <= CLICKS_MAX
    assert ask(pages.app, "GET", f"/portal/acme/invoices/{note}/lines/99").status_code == 404


@pytest.mark.parametrize("plan", ["graduated", "windows and a discount"])
def test_every_number_of_a_period_that_waits_to_be_billed_opens_and_is_the_invoices(tmp_path: Path, plan: str) -> None:
    """What stands there before the run stands on the invoice after it."""
    path, asked = tmp_path / "collector.db", "/portal/acme/cost/acme-chargers?period=2026-10-01"
    filled(path, plan, billed=False)
    pages = Pages(path, plan)
    ended = pages.main("/portal/acme").partition('aria-label="Ended, not billed yet"')[2].partition("</section>")[0]
    assert links(ended) == [asked, asked], "with tax, and net"
    assert "1.10.2026 to 31.10.2026, ended and not billed yet" in pages.main(asked)
    lines = pages.data(asked)
    for said, where in numbers(pages.main(asked)):
        assert where, f"{said} leads nowhere"
        assert "period=2026-10-01" in where[0]
        assert pages.clicks_to_a_signed_line(where[0]) <= CLICKS_MAX
    opened = [pages.data(f"/portal/acme/cost/acme-chargers/{each['line']}?period=2026-10-01") for each in lines]
    for each in opened:
        if each["kind"] == "usage":
            assert sum(Fraction(device["quantity"]) for device in each["devices"]) == Fraction(each["quantity"])
    for wrong in ("2026-09-01", "2026-11-01", "x"):
        assert ask(pages.app, "GET", f"/portal/acme/cost/acme-chargers?period={wrong}").status_code == 404
    store = Store(SqliteDatabase(path))
    bill_due(store, NOW * 1_000, store_biller(MemoryArchive()))
    store.close()
    named = ("charge", "kind", "device", "window", "amount")
    billed = Pages(path, plan).data("/portal/acme/invoices/INV-1")["lines"]
    assert [[each[name] for name in named] for each in lines] == [[each[name] for name in named] for each in billed]
    assert ask(pages.app, "GET", asked).status_code == 404, "it is billed now"


def test_days_that_are_not_there_are_said_so(tmp_path: Path) -> None:
    filled(tmp_path / "collector.db", "windows and a discount")
    app = Pages(tmp_path / "collector.db", "").app
    base = "/portal/acme/usage/roof-1/sdm630-1/energy"
    assert ask(app, "GET", f"{base}?from=2026-10-01&until=2026-10-03").text.count("/days/2026-10-") == 4
    for asked in ("?from=yesterday", "?from=1999-01-01&until=1999-02-01", "?from=2026-11-02&until=2026-11-01"):
        assert ask(app, "GET", base + asked).status_code == 404
    for window in ("contract=acme-chargers&charge=Energy&window=Noon", "contract=none&charge=Energy&window=Night"):
        assert ask(app, "GET", f"{base}?{window}").status_code == 404
    assert ask(app, "GET", "/portal/acme/cost/acme-chargers/0123456789abcdef").status_code == 404


def test_every_day_of_a_chart_opens_down_to_a_signed_line(pages: Pages) -> None:
    """Of the contract onto its devices, of a device onto its intervals; also where a meter is no sum."""
    for path, clicks in (("/portal/acme", 4), ("/portal/acme/devices/roof-1/sdm630-1", 3)):
        days = pages.main(path).partition('class="days"')[2].partition("</table>")[0]
        found = [each for each in numbers(days) if each[0] != "—"]
        assert found, path
        for said, where in found:
            assert where, f"{said} leads nowhere"
        assert pages.clicks_to_a_signed_line(found[0][1][0]) <= clicks


VOLUME: Final = USED.replace("per_unit", "volume") + "tiers = [{ up_to = 1000, price = 0.30 }, { price = 0.25 }]\n"
DECEMBER: Final = NOVEMBER + 30 * DAY


def opens(pages: Pages, asked: str) -> list[dict[str, Any]]:
    """Each line of the list as its own page's data say it; each has its own, and says the list's amount."""
    lines = pages.data(asked)
    base, _, query = asked.partition("?")
    assert len({each["line"] for each in lines}) == len(lines)
    opened = []
    for each in lines:
        one = f"{base}/{each['line']}?{query}"
        found = pages.data(one)
        assert (found["amount"], found["why"]) == (each["amount"], each["why"])
        assert pages.main(one)
        opened.append(found)
    return opened


def test_a_line_that_is_taken_back_and_the_one_that_bills_it_anew_each_open(tmp_path: Path) -> None:
    """Late reports reprice what is billed: both lines stand on the next invoice, under one key."""
    path = tmp_path / "collector.db"
    store, gateway = new_store(path, CATALOG.replace(ENERGY, VOLUME + "\n")), Gateway()
    lines = october(gateway, days=61).lines
    receive(store, lines[:27], at=NOVEMBER)
    bill_due(store, (NOVEMBER + 28 * DAY) * 1_000, store_biller(MemoryArchive()))
    receive(store, lines[27:], at=DECEMBER)
    store.close()
    pages = Pages(path, "")
    pages.app.state.gate.site.clock.step(utc_ms=(DECEMBER + DAY) * 1_000)
    opened = opens(pages, "/portal/acme/cost/acme-chargers?period=2026-11-01")
    again = [each for each in opened if each["line"].endswith("-2")]
    assert len(again) == 1, "October's energy, at another price"
    (taken,) = [each for each in opened if each["line"] == again[0]["line"].removesuffix("-2")]
    assert Fraction(taken["amount"]) < 0 < Fraction(again[0]["amount"])
    assert again[0]["line"] in taken["beside"]
    assert taken["line"] in again[0]["beside"]


def test_what_falls_due_as_a_contract_ends_opens_too(tmp_path: Path) -> None:
    path = tmp_path / "collector.db"
    last = '[[plans.charger.charges]]\nname = "Removal"\ntype = "one_time"\non = "ended"\nprice = 40\n\n'
    store = new_store(path, CATALOG.replace(ENERGY, last + ENERGY) + "end = 2026-11-01\n")
    receive(store, october(Gateway(), days=31).lines, at=NOVEMBER)
    store.close()
    opened = opens(Pages(path, ""), "/portal/acme/cost/acme-chargers?period=2026-10-01")
    removals = [each for each in opened if each["charge"] == "Removal"]
    assert [each["device"] for each in removals] == ["roof-1/sdm630-1", "roof-1/sdm630-2"]
    assert all(each["devices"] for each in removals), "the states of what ended"
