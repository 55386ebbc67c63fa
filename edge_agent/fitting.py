"""What people at the meter tell the agent: an exchange, and that a display was found to agree (P4).

What is asked is a JSON object `{"do": …, "channel": "device.meter", …}`, what is answered says `ok`, and why not.

    aside        the channel's readings wait until its exchange is said
    back         they do not any more
    exchange     old_display (null where it cannot be read), new_serial, new_display: in the channel's steps
    commission   display: the text that people typed; a birth states where the channel stands, and it is kept
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from edge_agent import kept
from edge_agent.reading import ChannelName
from edge_agent.sealing import Sealing
from edge_agent.swap import Swap
from shared.effects.clock import Clock
from shared.errors import Refused

DISPLAY_CHARS_MAX: Final = 48
_STRANGE: Final = "this is no question that the agent knows: is the command of another version?"
COMMISSIONED_MAX: Final = 1_024
"""Channels whose confirmation is kept; the first go when more come."""


class Fitting:
    """What people at the meter tell an agent whose spool is open."""

    def __init__(self, sealing: Sealing, clock: Clock) -> None:
        self._sealing = sealing
        self._clock = clock

    async def asked(self, question: str) -> dict[str, Any]:
        """As `answer`, for a task of its own."""
        return self.answer(question)

    def answer(self, question: str) -> dict[str, Any]:
        """Do what is asked; raises DatabaseError, SpoolFull."""
        asked = _parsed(question)
        answer = asked if isinstance(asked, Refused) else self._answer(*asked)
        return {"ok": False, "why": answer.reason} if isinstance(answer, Refused) else {"ok": True} | answer

    def _answer(self, name: ChannelName, asked: Mapping[str, Any]) -> dict[str, Any] | Refused:
        metering, tick = self._sealing.metering, self._sealing.tick()
        match asked["do"]:
            case "aside":
                return metering.set_aside(name, tick) or {}
            case "back":
                metering.take_back(name)
                return {}
            case "exchange":
                refused = metering.exchange(name, asked["swap"], tick)
                if refused is None:
                    self._sealing.seal_due()
                    self._forget(name)
                return refused or self._stands(name)
            case _:
                stated = metering.restate(name, tick)
                if isinstance(stated, Refused):
                    return stated
                self._sealing.seal_due()
                return self._confirmed(name, asked["display"][:DISPLAY_CHARS_MAX], stated)

    def _confirmed(self, name: ChannelName, display: str, stated: tuple[str, int, int]) -> dict[str, Any]:
        serial, register, raw = stated
        confirmed = {
            "display": display,
            "serial": serial,
            "register": register,
            "raw": raw,
            "at": self._clock.utc_ms() // 1_000,
        } | self._stands(name)
        found: dict[str, Any] = self._sealing.spool.kept(kept.COMMISSIONED) or {}
        found.pop(".".join(name), None)
        found[".".join(name)] = confirmed
        self._sealing.spool.keep(kept.COMMISSIONED, dict([*found.items()][-COMMISSIONED_MAX:]))
        return confirmed

    def _forget(self, name: ChannelName) -> None:
        """What was confirmed was the other meter's display."""
        found: dict[str, Any] = self._sealing.spool.kept(kept.COMMISSIONED) or {}
        if found.pop(".".join(name), None) is not None:
            self._sealing.spool.keep(kept.COMMISSIONED, found)

    def _stands(self, name: ChannelName) -> dict[str, Any]:
        """In which line it was sealed: the last of the channel's log."""
        log = self._sealing.metering.log_of(name)
        chain = self._sealing.spool.chain(log)
        return {"log": log, "epoch": self._sealing.spool.epoch, "seq": 0 if chain is None else chain.seq}


def _parsed(question: str) -> tuple[ChannelName, dict[str, Any]] | Refused:
    """The channel and what is asked of it; every field that will be used is there and of its type."""
    try:
        asked: dict[str, Any] = json.loads(question)
        device, _, meter = str(asked["channel"]).rpartition(".")
        if asked["do"] == "exchange":
            old = asked["old_display"]
            asked["swap"] = Swap(None if old is None else int(old), str(asked["new_serial"]), int(asked["new_display"]))
        elif asked["do"] == "commission":
            asked["display"] = str(asked["display"])
        elif asked["do"] not in ("aside", "back"):
            return Refused(_STRANGE)
    except (ValueError, KeyError, TypeError):
        return Refused(_STRANGE)
    return ChannelName(device, meter), asked
