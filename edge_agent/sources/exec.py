"""A number that a command prints.

The command is run without a shell; the first word that it prints must be a number: a counter's total, a
gauge's level, a state (0 is idle), or the pulses or events since its last run, which it must then forget.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge_agent.invalid import InvalidSetting, require_channel, require_kind, require_source, require_within
from edge_agent.reading import HOLD_SECONDS, ChannelSpec, Kind, Reading, SourceDown
from edge_agent.sources.number import steps_of
from shared.effects.clock import Clock
from shared.errors import InvalidRecord
from shared.grammar import require_plain
from shared.limits import SERIAL_CHARS_MAX

OUTPUT_BYTES_MAX: Final = 4_096
"""The most that a command may print."""
TIMEOUT_SECONDS_MAX: Final = 25.0
"""Below the time after which the agent itself takes a source for down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSettings:
    """Which command is run, and what its number means."""

    type: Literal["exec"] = "exec"
    name: str = "exec"
    """The source's name in messages; unique in a configuration."""
    log: str = "main"
    """The log that its channel is sealed in."""
    poll_seconds: float = 60.0
    """How often the command is run."""
    device: str
    meter: str
    unit: str
    """UCUM, of what is billed: `W.h` also where the command prints watts."""
    exponent: int = 0
    """The register counts steps of 10^exponent units; the printed number is in units."""
    command: tuple[str, ...]
    """Program and arguments; no shell unless one is named: ["sh", "-c", "…"]."""
    timeout_seconds: float = 10.0
    """How long the command may take."""
    kind: Literal["counter", "gauge", "pulse", "event", "state"] = "counter"
    """What the printed number is: a total, a rate now, what was counted since the last run, active (not 0) or idle."""
    per_seconds: int = 3_600
    """A gauge's number is units per this many seconds: 3600 for W into W.h, 1 for By/s into By."""
    hold_seconds: int = HOLD_SECONDS
    """How long a gauge's level or a state is believed without a new one; a longer silence is a gap."""
    rate_max: int
    """The most steps a second that can be true."""
    width_bits: int | None = None
    """Where a counter rolls over: after 2^width_bits steps."""
    serial: str = ""
    """The serial number of the meter behind the command, where it is known."""

    def __post_init__(self) -> None:
        require_source(self.name, self.log, self.poll_seconds)
        require_channel(self.device, self.meter, self.unit, self.exponent, self.rate_max)
        require_within("timeout_seconds", self.timeout_seconds, 0.1, TIMEOUT_SECONDS_MAX)
        require_kind(self.kind, self.unit, self.per_seconds, self.hold_seconds)
        require_plain(self.serial, "serial", SERIAL_CHARS_MAX)
        if self.width_bits is not None:
            require_within("width_bits", self.width_bits, 1, 64)
        if not self.command or not self.command[0]:
            raise InvalidSetting("command", "must name a program")


class ExecSource:
    """Runs the command each time it is read."""

    def __init__(self, settings: ExecSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self.channels: tuple[ChannelSpec, ...] = (
            ChannelSpec(
                device=settings.device,
                meter=settings.meter,
                unit=settings.unit,
                exponent=settings.exponent,
                kind=Kind(settings.kind),
                source=settings.name,
                log=settings.log,
                rate_max=settings.rate_max,
                width_bits=settings.width_bits,
                per_seconds=settings.per_seconds,
                hold_seconds=settings.hold_seconds,
            ),
        )

    async def read(self) -> Sequence[Reading]:
        """One reading; raises SourceDown with what the command said or did."""
        settings = self._settings
        printed = await self._printed()
        words = printed.split()
        if not words:
            raise SourceDown(f"{settings.command[0]} printed nothing")
        try:
            value = steps_of(words[0], 0 if settings.kind == "state" else settings.exponent)
        except InvalidRecord as error:
            raise SourceDown(f"{settings.command[0]} did not print a number: {error}") from error
        return [
            Reading(
                device=settings.device,
                meter=settings.meter,
                value=value,
                at_ms=self._clock.boot_ms(),
                serial=settings.serial,
            )
        ]

    async def close(self) -> None:
        """Nothing is held: a command ends with its reading."""

    async def _printed(self) -> str:
        program = self._settings.command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._settings.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceDown(f"{program} cannot be run: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                out, complaint = await asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
                code = await process.wait()
        except TimeoutError:
            await _ended(process)
            raise SourceDown(f"{program} took longer than {self._settings.timeout_seconds:g} s") from None
        except asyncio.CancelledError:
            await _ended(process)
            raise
        if code:
            said = complaint.decode("utf-8", "replace").strip().splitlines()
            raise SourceDown(f"{program} ended with {code}" + (f": {said[-1][:200]}" if said else ""))
        return out.decode("utf-8", "replace")


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    """The first bytes of a stream; the rest is read and dropped, so that the command can end."""
    assert stream is not None, "both streams are pipes"
    kept = b""
    while chunk := await stream.read(OUTPUT_BYTES_MAX):
        kept = (kept + chunk)[:OUTPUT_BYTES_MAX]
    return kept


async def _ended(process: asyncio.subprocess.Process) -> None:
    """The command and all that it started are gone: it leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
