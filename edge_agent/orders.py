"""The five orders that a gateway follows: each ends in its spool, its sources, its keys or its windows."""

from collections.abc import Callable

from edge_agent import kept
from edge_agent.polling import Polling
from edge_agent.settings import AgentSettings
from edge_agent.signing import Signing
from edge_agent.spool import Spool
from edge_agent.uplink import Uplink
from shared.command import Command, ReadNow, Resend, RotateKey, SetInterval, TrustKey

Interval = tuple[int, int]
"""Step in seconds, and how many of them a window has."""


class Orders:
    """What the agent can be asked to do, everything it takes handed in."""

    def __init__(
        self,
        *,
        settings: Callable[[], AgentSettings],
        pinned: bool,
        spool: Spool,
        signing: Signing,
        polling: Polling,
        uplink: Callable[[], Uplink],
        rotate: Callable[[], str],
        cut: Callable[[], None],
        say_lost: Callable[[Resend], bool] = lambda _: False,
    ) -> None:
        """`pinned`: a flag or the environment sets the interval. `cut`: windows follow the interval from now on."""
        self._settings = settings
        self._pinned = pinned
        self._spool = spool
        self._signing = signing
        self._polling = polling
        self._uplink = uplink
        self._rotate = rotate
        self._cut = cut
        self._say_lost = say_lost

    async def do(self, command: Command, signer: str | None, name: str) -> str:
        """Do it; returns an empty text, or why it was not done."""
        match command.do:
            case Resend() as order:
                return self._resend(order)
            case ReadNow():
                return await self._read_now()
            case RotateKey():
                self._rotate()
                return ""
            case SetInterval() as order:
                return self._set_interval(order)
            case TrustKey() as order:
                self._signing.trust(order.public, instead_of=signer, by=(command.counter, name))
                self._uplink().trust(self._signing.receipt_keys)
                return ""

    def _resend(self, order: Resend) -> str:
        held = self._spool.handover.held_from(order.log, order.epoch, order.first, order.last, 1)
        if held:
            self._uplink().send_again(order.log, order.epoch, order.first, order.last)
        if self._say_lost(order) or held:
            return ""
        return "this gateway holds none of these lines, and knows of none that it has forgotten"

    async def _read_now(self) -> str:
        down = await self._polling.read_all()
        return f"not readable: {', '.join(down)}"[:256] if down else ""

    def _set_interval(self, order: SetInterval) -> str:
        why = not_allowed(order, self._settings(), pinned=self._pinned)
        if not why:
            self._spool.keep(kept.INTERVAL, [order.step, order.count])
            self._cut()
        return why


def interval_of(spool: Spool, settings: AgentSettings, *, pinned: bool) -> Interval:
    """The interval that holds: a flag's or the environment's, else a command's within bounds, else the file's."""
    asked = None if pinned else spool.kept(kept.INTERVAL)
    if asked is not None and not not_allowed(SetInterval(step=asked[0], count=asked[1]), settings, pinned=False):
        return asked[0], asked[1]
    return settings.step_seconds, settings.interval_count


def not_allowed(order: SetInterval, settings: AgentSettings, *, pinned: bool) -> str:
    """Why this gateway's own configuration does not allow the interval; empty where it does."""
    least, most, window = settings.step_seconds_min, settings.step_seconds_max, settings.window_seconds_max
    if pinned:
        return "the interval is set by a flag or the environment of this gateway"
    if not least <= order.step <= most:
        return f"step is bounded to {least}-{most} s by this gateway's configuration"
    if order.step * order.count > window:
        return f"the window is bounded to {window} s by this gateway's configuration"
    return ""
