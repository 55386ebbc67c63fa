"""What the pages are made from: handed in, so that nothing here opens a socket or reads a clock of its own."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup
from prometheus_client import CollectorRegistry

from cloud_collector.access.pace import Paces
from cloud_collector.insight.kept import Kept
from cloud_collector.invoice.locale import Locale
from cloud_collector.store.store import Store
from cloud_collector.web.door import Door
from cloud_collector.web.office import Office
from cloud_collector.web.running import Begun, Order, Runs
from shared.effects.chance import Chance, system_chance
from shared.effects.clock import Clock
from shared.key import PublicKey

_INSTANT: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
OpenStore = Callable[[], AbstractContextManager[Store]]
KeepSecret = Callable[[str, str], object]
"""Of a webhook, by its name."""
Readiness = Callable[[], Mapping[str, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a page is made, in which zone it speaks, and how its people read dates: ISO where nobody says otherwise."""

    now_ms: int
    zone: str
    locale: Locale = field(default_factory=Locale)

    @property
    def now(self) -> int:
        """In Unix seconds."""
        return self.now_ms // 1000

    def local(self, seconds: int) -> str:
        """An instant for people, to the minute."""
        return f"{self.day(seconds)} {self.clock(seconds)}"

    def day(self, seconds: int) -> str:
        """The local date of an instant, for people."""
        return self.written(datetime.fromtimestamp(seconds, ZoneInfo(self.zone)).date())

    def clock(self, seconds: int) -> str:
        """The time of day, for people; in the hour that the clocks go through twice with its offset from UTC."""
        local = datetime.fromtimestamp(seconds, ZoneInfo(self.zone))
        twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
        return f"{local:%H:%M} ({local.isoformat()[-6:]})" if twice else f"{local:%H:%M}"

    def written(self, day: date) -> str:
        """A local date, for people."""
        return self.locale.date(day)

    def number(self, text: str) -> str:
        """A decimal string, digit for digit, for people."""
        return self.locale.number(text)

    def amount(self, text: str, currency: str) -> str:
        """A decimal string of a currency, digit for digit, for people."""
        return self.locale.amount(text, currency)

    def time(self, seconds: int) -> Markup:
        """An instant for people to the minute, and for their programs as it is."""
        return Markup('<time datetime="{}">{}</time>').format(iso(seconds), self.local(seconds))

    def dated(self, day: date) -> Markup:
        """A local date for people, and for their programs as it is."""
        return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), self.written(day))

    def at(self, instant: datetime | None) -> str:
        """The same of an instant with its zone; a dash for none."""
        return "—" if instant is None else self.local(int(instant.timestamp()))

    def told(self, sentence: str) -> str:
        """The sentence with instants that programs write in UTC as people read them here."""
        return _INSTANT.sub(lambda found: self.at(datetime.fromisoformat(found[0])), sentence)

    def since(self, instant: datetime | None) -> str:
        """How long ago that was; `never` for none."""
        return "never" if instant is None else self.ago(int(instant.timestamp() * 1000))

    def ago(self, at_ms: int) -> str:
        """How long ago, in words."""
        seconds = max(0, (self.now_ms - at_ms) // 1000)
        for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
            if seconds >= size:
                return f"{seconds // size} {name} ago"
        return f"{seconds} s ago"


def iso(seconds: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A device under a contract: its state now, since when, and by which rule."""

    contract: str
    account: str
    plan: str
    device: str
    state: str
    since: int | None
    why: str


Subscriptions = Callable[[Store, int], list[Subscription]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One request's sight of the store."""

    store: Store
    moment: Moment
    kept: Kept = field(default_factory=Kept)
    """What the site's pages remember."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made from; `open_store` gives a read connection for the length of one request."""

    open_store: OpenStore
    clock: Clock
    zone: Callable[[Store], str]
    subscriptions: Subscriptions
    key_words: str
    readiness: Readiness
    metrics: CollectorRegistry
    open_writer: OpenStore | None = None
    """Gives a writing connection for the length of one request; None: `open_store` writes as well."""
    key: PublicKey | None = None
    """The operator's, whose private half seals invoices; None: no evidence is handed out."""
    office: Office | None = None
    """What documents are handed out with; None: none are."""
    local_operator: bool = True
    """Whether who opens the pages on the collector's own machine is its operator."""
    keep_secret: KeepSecret | None = None
    """Keeps a webhook's secret where whoever sends finds it; raises OSError. None: no webhook is made here."""
    chance: Chance = system_chance
    door: Door = field(default_factory=Door)
    paces: Paces = field(default_factory=Paces)
    runs: Runs = field(default_factory=Runs)
    """The billing run that was begun from here, on a page or over the API."""
    kept: Kept = field(default_factory=Kept)

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """The store, to change it."""
        with (self.open_writer or self.open_store)() as store:
            yield store

    def begin(self, store: Store, order: Order) -> Begun:
        """The billing run is written down; raises NotBegun where another is on its way, NotIssuedHere."""
        return self.runs.begin(
            store, None if self.office is None else self.office.biller, order, self.writing, self.clock
        )

    def moment(self, store: Store) -> Moment:
        """When and in which zone this store's pages speak."""
        return Moment(now_ms=self.clock.utc_ms(), zone=self.zone(store))

    @contextmanager
    def look(self) -> Iterator[Look]:
        """The store at one moment."""
        with self.open_store() as store:
            yield Look(store=store, moment=self.moment(store), kept=self.kept)
