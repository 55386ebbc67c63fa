"""What is metered, sealed with the present key into the spool: one transaction after another, in step (P2).

Metering, spool and keys change together or not at all: a window leaves the open state when its line is durable,
a key signs when the lines that announce it are, an epoch begins with the births of all its logs.
"""

import logging
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from edge_agent.disk import Disk
from edge_agent.loss import declare_loss
from edge_agent.metering import Metering
from edge_agent.orders import Interval, interval_of
from edge_agent.reading import ChannelSpec
from edge_agent.sampling import tick_of
from edge_agent.sealable import ForgottenContent, Sealable
from edge_agent.sealed import Author, SealedLine, config_hash
from edge_agent.settings import AgentSettings
from edge_agent.signing import Signing
from edge_agent.spool import Spool
from edge_agent.timekeeping import Tick
from shared.command import Resend
from shared.effects.clock import Clock

_LOG: Final = logging.getLogger(__name__)
AGENT: Final = "meterseal 0.1.0"


class Sealing:
    """The metering of a running agent and the spool that it goes into."""

    def __init__(
        self,
        settings: AgentSettings,
        specs: Sequence[ChannelSpec],
        *,
        signing: Signing,
        clock: Clock,
        random: Random,
        interval_pinned: bool,
        committed: Callable[[], None],
        sealed: Callable[[], None],
    ) -> None:
        """`committed` is called after every transaction, `sealed` after those with lines."""
        self.signing: Final = signing
        self.committed_ms = 0
        self._started = False
        self.metering: Metering
        self.spool: Spool
        self._settings = settings
        self._specs = tuple(specs)
        self._clock = clock
        self._random = random
        self._interval_pinned = interval_pinned
        self._committed = committed
        self._sealed = sealed

    @property
    def interval(self) -> Interval:
        """Step and count of the windows."""
        return interval_of(self.spool, self._settings, pinned=self._interval_pinned)

    def open(self, disk: Disk) -> Spool:
        """The spool is open; raises DatabaseError, KeyUnusable."""
        settings = self._settings
        author = self._author((settings.step_seconds, settings.interval_count))
        self.spool = self.signing.open_spool(
            disk, gateway=settings.gateway, author=author, bytes_max=settings.spool_bytes_max
        )
        return self.spool

    def start(self) -> None:
        """Go on from what the spool holds: what the last process left open is sealed, and births."""
        tick, snapshot = self.tick(), self.spool.snapshot()
        (step, count), specs = self.interval, self._specs
        self.spool.reconfigure(self._author((step, count)))
        if snapshot is None:
            self.metering = Metering(specs, step=step, count=count, tick=tick)
        else:
            self.metering = Metering.restore(snapshot, specs, step=step, count=count, tick=tick)
        if self.spool.contradicted or self.signing.begins_epoch:
            self.begin_epoch()
        else:
            if snapshot is None:
                self.metering.declare(declare_loss(self.spool.last_usage, specs, tick))
            self.spool.seal(self.metering.due(tick), self.metering.snapshot())
        self.committed_ms = tick.boot_ms
        self._started = True

    def seal_due(self) -> bool:
        """Everything that is due is sealed; whether anything was. Raises DatabaseError, SpoolFull."""
        due = self.metering.due(self.tick())
        if due:
            self.spool.seal(due, self.metering.snapshot())
            self._is_committed()
            self._sealed()
        return bool(due)

    def commit(self) -> None:
        """The open windows are durable; raises DatabaseError."""
        self.spool.commit(self.metering.snapshot())
        self._is_committed()

    def begin_epoch(self) -> None:
        """All logs go on in a new epoch; raises DatabaseError, SpoolFull."""
        self.metering.new_epoch()
        births = self.metering.due(self.tick())
        alone = self.signing.begins_epoch
        self.spool.begin_epoch(births, self.metering.snapshot(), random=self._random, alone=alone)
        self.signing.began_epoch()
        self.committed_ms = self._clock.boot_ms()
        self._sealed()
        _LOG.error("event=epoch_begun epoch=%s", self.spool.epoch)

    def rotate_key(self) -> str:
        """Go on with a new key from now on; returns its id. Raises DatabaseError, SpoolFull, KeyUnusable."""

        def seal(lines: Sequence[Sealable]) -> Sequence[SealedLine]:
            return self.spool.seal([*self.metering.due(self.tick()), *lines], self.metering.snapshot())

        key = self.signing.rotate(self.tick(), seal)
        self._is_committed()
        self._sealed()
        _LOG.info("event=key_rotated key=%s", key.public.id)
        return key.public.id

    def follow_rotation(self) -> None:
        """Go on from what became of the last rotation; raises DatabaseError, SpoolFull, KeyUnusable."""
        if self.signing.unheard:
            _LOG.error("event=rotation_unheard key=%s", self.signing.current.public.id)
            self.signing.withdraw()
            self.begin_epoch()
            self.rotate_key()
        elif self.signing.finish():
            _LOG.info("event=rotation_receipted")

    def say_forgotten(self, log: str, lost: Sequence[ForgottenContent]) -> None:
        """What was receipted and is gone is said to be; not before metering runs. Raises DatabaseError, SpoolFull."""
        if self._started:
            for each in lost:
                self.metering.say(log, each)
            self.seal_due()

    def say_lost(self, order: Resend) -> bool:
        """Answer a command's request for lines that are gone; whether there were any."""
        lost = self.spool.lost(order.log, order.epoch, [(order.first, order.last)])
        self.say_forgotten(order.log, lost)
        return bool(lost)

    def reconfigure(self, settings: AgentSettings, specs: Sequence[ChannelSpec]) -> None:
        """Meter these channels from now on; what is open is closed before."""
        self._settings, self._specs = settings, tuple(specs)
        self.cut()

    def cut(self) -> None:
        """Windows are cut by the interval that holds now, what is open is closed and durable."""
        step, count = self.interval
        self.metering.reconfigure(self._specs, step=step, count=count, tick=self.tick())
        self.spool.reconfigure(self._author((step, count)))
        if not self.seal_due():
            self.commit()

    def tick(self) -> Tick:
        """What the clock says now."""
        return tick_of(self._clock)

    def _author(self, interval: Interval) -> Author:
        return Author(agent=AGENT, config=config_hash(*interval, self._specs))

    def _is_committed(self) -> None:
        self.committed_ms = self._clock.boot_ms()
        self._committed()
