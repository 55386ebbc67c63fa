"""Subscriptions: each device under its contract, waiting, in use since when and by which rule, or ended."""

from typing import Final

from fastapi import APIRouter

from cloud_collector.web.console.screen import Ask, Screen, serve
from cloud_collector.web.site import Look, Moment, Site, Subscription, iso
from cloud_collector.web.table import Cell, Column, Mood, Table, row

_COLUMNS: Final = (
    Column(title="Device", key="device", whole=True),
    Column(title="Account", key="account", unseen=True),
    Column(title="Contract", key="contract"),
    Column(title="State", key="state", whole=True),
    Column(title="Since", key="since", whole=True),
    Column(title="Why", key="why", wrap=True),
)
MOODS: Final = {"active": Mood.GOOD, "provisioned": Mood.IDLE, "suspended": Mood.WARN, "ended": Mood.IDLE}
WORDS: Final = {"active": "in use", "provisioned": "waiting for first use"}


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    def screen(look: Look, _: Ask) -> Screen:
        made = table(site.subscriptions(look.store, look.moment.now), look.moment)
        return Screen(title=made.title, data=made.records(), table=made)

    serve(router, site, "/subscriptions", screen)


def table(found: list[Subscription], moment: Moment) -> Table:
    """Each device under its contract."""
    return Table(
        title="Subscriptions",
        path="/subscriptions",
        command="cloud-collector billing preview",
        empty="No contract yet. Write one into the catalog, then: cloud-collector catalog apply catalog.toml",
        columns=_COLUMNS,
        rows=tuple(
            row(
                _COLUMNS,
                Cell(text=each.device, value=each.device, note=each.account),
                Cell(text=each.account, value=each.account),
                Cell(text=each.contract, value=each.contract, note=each.plan),
                Cell(text=WORDS.get(each.state, each.state), value=each.state, mood=MOODS.get(each.state, Mood.IDLE)),
                Cell(
                    text="—" if each.since is None else moment.local(each.since),
                    value=None if each.since is None else iso(each.since),
                ),
                Cell(text=each.why, value=each.why),
            )
            for each in found
        ),
    )
