"""The demo's story behind the operator's pages, on a real port; with holes, strangers, and markup in a name."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import uvicorn
from fastapi import FastAPI

from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.revisions import apply, revisions
from cloud_collector.billing.run import Biller
from cloud_collector.contracts.read import load_catalog
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import AlarmSettings, CollectorSettings
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.watch import Watch
from cloud_collector.web.app import create_app
from cloud_collector.web.door import Door
from cloud_collector.web.metrics import registry
from cloud_collector.web.office import Office
from cloud_collector.web.site import Site
from cloud_collector.web.subscriptions import subscriptions
from demo.story import Story
from shared.effects.memory import SimpleClock
from shared.effects.sqlite import SqliteDatabase
from shared.topic import Leaf, topic_of
from tests.demo_story import NOW
from tests.portal_site import StandingClock
from tests.unit.billing_samples import RECEIPT_KEY, Gateway, receive

MARKUP: Final = "<img src=x onerror=alert(1)>"
HOLES: Final = "quay-7"
DAY: Final = 86_400


class _Quiet:
    """A collector that is connected."""

    connected = True
    verdicts: ClassVar[dict[str, int]] = {}


@dataclass
class Console:
    """Running pages over a store, with a clock that tests move."""

    store: Path
    site: Site
    clock: SimpleClock
    app: FastAPI
    port: int = 0
    story: Story | None = None
    servers: list[uvicorn.Server] = field(default_factory=list)

    def url(self, path: str) -> str:
        """The address of a page."""
        return f"http://127.0.0.1:{self.port}{path}"


def fill(story: Story) -> None:
    """What the story does not have: markup in a name, holes, strangers."""
    store = Store(SqliteDatabase(story.site.store))
    _add_markup(store)
    _add_holes(store)
    _knock(store)
    watch = Watch(AlarmSettings(hole_seconds=0), connected=lambda: True, name="_collector", skew_seconds=300)
    watch(store, NOW * 1_000)
    store.close()


def _add_markup(store: Store) -> None:
    """An account whose name a browser would run; names of gateways and devices cannot be markup, by their grammar."""
    text = revisions(store)[-1].catalog.text
    more = (
        f'\n[accounts.markup]\nname = "{MARKUP}"\ncountry = "FI"\n'
        '\n[contracts.markup]\naccount = "markup"\nplan = "charger"\nstart = 2026-11-01\n'
        f'devices = ["{HOLES}/sdm630-1"]\n'
    )
    apply(store, load_catalog(text + more), now_ms=NOW * 1_000)


def _add_holes(store: Store) -> None:
    gateway = Gateway(name=HOLES)
    gateway.birth(NOW - 30 * DAY)
    for day in range(29):
        gateway.day(NOW - (30 - day) * DAY, {"sdm630-1": 330})
    held = [line for seq, line in enumerate(gateway.lines, 1) if seq not in (9, 10, 11, 20)]
    receive(store, held, at=NOW - 30, gateway=HOLES)


def _knock(store: Store) -> None:
    """Somebody whom nobody knows, and a topic that is markup."""
    stranger = Gateway(name="quay-77")
    stranger.birth(NOW - DAY)
    intake = Intake(store, CollectorSettings(), RECEIPT_KEY)
    topics = [topic_of("quay-77", Leaf.REPORT), f"metering/v1/{MARKUP}/report"]
    intake.commit(intake.open([(topic, stranger.lines[0]) for topic in topics], intake.keys_for(topics)), NOW * 1_000)


def site_of(story: Story, clock: SimpleClock, approval: Approval, door: Door) -> Site:
    """The site over the story's store."""

    @contextmanager
    def opened(*, read_only: bool) -> Iterator[Store]:
        held = Store(SqliteDatabase(story.site.store, read_only=read_only), migrated=True)
        try:
            yield held
        finally:
            held.close()

    key = story.site.key("receipt")
    archive = FolderArchive(story.site.issued)
    return Site(
        open_store=lambda: opened(read_only=True),
        open_writer=lambda: opened(read_only=False),
        clock=clock,
        zone=lambda _: "Europe/Helsinki",
        subscriptions=lambda held, now: subscriptions(held, StoreView(held), now),
        key_words=key.public.words,
        key=key.public,
        readiness=lambda: {"store": True, "broker": True},
        metrics=registry(_Quiet(), lambda: opened(read_only=True)),
        office=Office(
            archive=archive,
            key=key.public,
            biller=Biller(key=key, archive=archive, view=StoreView, approval=approval),
            approval=approval,
        ),
        door=door,
    )


@contextmanager
def running(story: Story, *, approval: Approval = Approval.TWO, door: Door | None = None) -> Iterator[Console]:
    """Within, the pages of a story are served."""
    fill(story)
    clock = StandingClock(utc_ms=NOW * 1_000)
    with serving(site_of(story, clock, approval, door or Door())) as (app, port):
        yield Console(store=story.site.store, site=app.state.gate.site, clock=clock, app=app, port=port, story=story)


@contextmanager
def serving(site: Site) -> Iterator[tuple[FastAPI, int]]:
    """Within, a site is served on a port of its own."""
    app = create_app(site)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = int(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield app, port
    finally:
        server.should_exit = True
        thread.join(10)
