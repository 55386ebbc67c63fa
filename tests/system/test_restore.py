"""Real agents, a real collector and broker: the disk is lost, a backup is put back, and P1 and P22 hold to the unit."""

import json
import time
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from cloud_collector.proof.command import main as verify_invoice
from shared.key import PublicKey
from tests.crash.feed import Feed, totals
from tests.crash.site import CrashSite, accounted
from tests.processes import run
from tests.requirements import require

GATEWAYS = ("north", "south")
DAY_MINUTES = 1440
DAY = 60 * DAY_MINUTES
CATALOG = """
[operator]
name = "Northwind Metering Oy"
currency = "EUR"
timezone = "UTC"
country = "FI"
address = ["Esimerkkikatu 1"]
vat_id = "FI12345678"

[meters.energy]
unit = "kWh"
aggregate = "sum"

[plans.metered]
title = "Metered"
cycle = "day"
settle = "400h"
[[plans.metered.charges]]
name = "Energy"
type = "usage"
meter = "energy"
model = "per_unit"
price = 0.30
per = "device"

[accounts.acme]
name = "Acme"
address = ["Satamakatu 4"]
country = "FI"
"""


class Site(CrashSite):
    """The site, its catalog and what people do with it."""

    def collector_says(self, *words: object, check: bool = True) -> str:
        """A command of the operator; what it prints and says."""
        done = run("cloud-collector", "--config", self.collector_config, *words, check=check)
        return done.stdout + done.stderr

    def bill(self) -> list[str]:
        """The numbers that a run issues now."""
        answer = run("cloud-collector", "--config", self.collector_config, "billing", "run", "--json").stdout
        return [each["number"] for each in json.loads(answer)["outcomes"] if each["number"]]

    def documents(self) -> dict[str, bytes]:
        """What lies in the folder of issued invoices."""
        return {path.stem: path.read_bytes() for path in (self.folder / "invoices").glob("*.ms")}


def test_after_a_lost_disk_the_totals_are_exact_and_no_number_is_used_twice(tmp_path: Path) -> None:
    """P22: collect, bill, back up, collect and bill more, lose the disk, restore, collect and bill more."""
    require("mosquitto")
    site = Site(tmp_path, GATEWAYS, step=60, count=5)
    first = (int(time.time()) // DAY - 4) * DAY
    feeds = {name: feed_from(site.feed(name, seed), first) for seed, name in enumerate(GATEWAYS)}
    site.collector_config.write_text(
        f'archive_path = "{tmp_path / "invoices"}"\ntick_seconds = 3600\n' + site.collector_config.read_text()
    )
    catalog = tmp_path / "catalog.toml"
    day = time.strftime("%Y-%m-%d", time.gmtime(first))
    contracts = "".join(
        f'[contracts.{name}]\naccount = "acme"\nplan = "metered"\nstart = {day}\n'
        f"devices = {json.dumps([f'{name}/meter-{at}' for at in range(4)])}\n"
        for name in GATEWAYS
    )
    catalog.write_text(CATALOG + contracts)
    site.collector_says("catalog", "apply", catalog, "--effective", day)
    site.start()
    try:
        through_a_day(site, feeds)
        assert len(site.bill()) == 2
        backup = json.loads(
            run("cloud-collector", "--config", site.collector_config, "backup", "create", "--json").stdout
        )
        through_a_day(site, feeds)
        assert len(site.bill()) == 2
        issued = site.documents()
        assert len(issued) == 4
        append(feeds, DAY_MINUTES // 4)
        site.settle(feeds, seconds=60)
        site.collector.kill()
        for path in tmp_path.glob("collector.db*"):
            path.unlink()
        said = site.collector_says("backup", "restore", backup["file"])
        assert "taken back from the folder of issued invoices: INV-3, INV-4" in said
        site.collector.start()
        append(feeds, DAY_MINUTES - DAY_MINUTES // 4 + 400)
        site.settle(feeds, seconds=90)
        refused = run("cloud-collector", "--config", site.collector_config, "billing", "run", check=False)
        assert (refused.returncode, "backup confirm INV-4" in refused.stderr) == (4, True)
        site.collector_says("backup", "confirm", "INV-4")
        assert sorted(site.bill()) == ["INV-5", "INV-6"]
        for feed in feeds.values():
            feed.finish()
        site.settle(feeds, seconds=60)
    finally:
        site.stop()
    counted = {(name, device): units for name in GATEWAYS for device, units in totals(site.readings(name)).items()}
    assert accounted(site) == counted, "P1: every unit, once"
    documents = site.documents()
    assert sorted(documents) == [f"INV-{number}" for number in range(1, 7)]
    assert {number: documents[number] for number in issued} == issued, "P16: what was handed out stays as it was"
    assert billed(documents) == three_days(site, first), "what is billed is what the meters counted"
    assert "everything in the store follows from the lines" in site.collector_says("audit")
    site.collector_says("invoice", "export", "INV-3", "--bundle", tmp_path / "INV-3.zip")
    assert verify_invoice([str(tmp_path / "INV-3.zip"), *trusted(tmp_path)]) == 0


def feed_from(feed: Feed, at: int) -> Feed:
    """The feed, its first reading at this second."""
    feed._at = at
    feed._displays[3] = 1_000  # No meter rolls over here.
    return feed


def append(feeds: dict[str, Feed], minutes: int) -> None:
    for feed in feeds.values():
        feed.append(minutes)


def through_a_day(site: Site, feeds: dict[str, Feed]) -> None:
    """A whole day is metered, and something of the next, so that the day is provably over."""
    for feed in feeds.values():
        feed.append(DAY_MINUTES if feed._at % DAY else DAY_MINUTES + 400)
    site.settle(feeds, seconds=60)


def billed(documents: dict[str, bytes]) -> Counter[tuple[str, str]]:
    """Watt-hours by device, over all sealed invoices."""
    found: Counter[tuple[str, str]] = Counter()
    for line in documents.values():
        body = json.loads(line.split(b"|")[1])
        for row in body["lines"]:
            gateway, _, device = row["device"].partition("/")
            found[gateway, device] += int(Fraction(row["quantity"]) * 1000)
    return found


def three_days(site: Site, first: int) -> dict[tuple[str, str], int]:
    """What the meters counted in the three days, out of the readings alone."""
    found: dict[tuple[str, str], int] = {}
    for name in GATEWAYS:
        rows = [line.split(",") for line in site.readings(name).read_text().splitlines()[1:]]
        bounds = {time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (first, first + 3 * DAY)}
        for at, device, _, value in rows:
            if at in bounds:
                found[name, device] = int(value) - found.get((name, device), 0)
    return found


def trusted(folder: Path) -> list[str]:
    """The operator's key and the gateways'."""
    files = [folder / "receipt.pub", *(folder / name / "gateway.pub" for name in GATEWAYS)]
    return [word for file in files for word in ("--trust", PublicKey.from_pem(file.read_text()).sha256)]


@pytest.mark.deep
def test_a_backup_made_under_load_is_whole(tmp_path: Path) -> None:
    """What is copied is one moment, however much is written beside it."""
    require("mosquitto")
    site = Site(tmp_path, ("north",), step=60, count=5)
    feed = feed_from(site.feed("north", 1), (int(time.time()) // DAY - 2) * DAY)
    feed.append(1_500)
    site.start()
    try:
        for _ in range(4):
            made = json.loads(
                run("cloud-collector", "--config", site.collector_config, "backup", "create", "--json").stdout
            )
            run("cloud-collector", "--config", site.collector_config, "backup", "verify", made["file"], "--audit")
            time.sleep(1)
        site.settle({"north": feed}, seconds=60)
    finally:
        site.stop()
    with zipfile.ZipFile(made["file"]) as held:
        assert held.testzip() is None
