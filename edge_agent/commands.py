"""Commands of the operator: verified, counted, then done once, and answered as often as they are heard (P10).

A command is one of five orders and nothing else. Its counter is durable before it is done, so that no crash
does it twice; its answer is kept, so that a lost answer is given again when the command is. What no pinned key
has signed is not answered. Source: docs/reference/wire.md, section 5.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from edge_agent import kept
from edge_agent.limits import COMMAND_ANSWERS_MAX
from edge_agent.signing import Signing
from edge_agent.spool import Spool
from shared.command import Answer, Command, TrustKey, name_of, read_command, seal_answer
from shared.effects.clock import Clock
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import Line, hash_of, parse

_LOG: Final = logging.getLogger(__name__)
Do = Callable[[Command, str | None, str], Awaitable[str]]
"""Does what a command says; the second is the id of the receipt key that signed it, None for a recovery key;
the third the hash of its bytes. Returns an empty text, or why it was not done."""


class Commands:
    """What this gateway was told to do, and what it has answered."""

    def __init__(
        self, *, spool: Spool, signing: Signing, recovery_keys: Sequence[PublicKey], clock: Clock, do: Do
    ) -> None:
        self._spool = spool
        self._signing = signing
        self._recovery_keys = tuple(recovery_keys)
        self._clock = clock
        self._do = do

    async def obey(self, raw: bytes) -> bytes | None:
        """Do what the command says and return the sealed answer; None for what deserves none. Raises DatabaseError."""
        name = hash_of(raw)
        known = self._known(name)
        if known is not None:
            # Its very bytes were verified before; the key that signed them may be trusted no more.
            return self._sealed(known)
        counter = self._signing.trusts_by(name)
        if counter is not None:
            # P22: the keys are of later than the spool, which a crash or an old image has kept from knowing it.
            return self._sealed([counter, True, "", name])
        found = self._verified(raw)
        if isinstance(found, Refused):
            _LOG.warning('event=command_refused why="%s"', found.reason)
            return None
        command, signer = found
        known = self._known(command.counter)
        if known is not None:
            return self._sealed(known)
        why = self._obstacle(command, signer)
        if why:
            return self._sealed([command.counter, False, why, ""])
        # P2: counted before it is done, so that no crash does it twice.
        self._spool.keep(kept.COUNTER, command.counter)
        why = await self._do(command, signer, name)
        _LOG.info('event=command_done do=%s counter=%d why="%s"', name_of(command.do), command.counter, why)
        answer = [command.counter, not why, why, name]
        self._spool.keep(kept.ANSWERS, [*self._answers(), answer][-COMMAND_ANSWERS_MAX:])
        return self._sealed(answer)

    def _verified(self, raw: bytes) -> tuple[Command, str | None] | Refused:
        line = parse(raw)
        if isinstance(line, Refused):
            return line
        # P10: the signature first, and only then the body.
        signer, recovery = self._signer(line, self._signing.receipt_keys), self._signer(line, self._recovery_keys)
        by = signer or recovery
        if by is None:
            return Refused("no pinned key has signed it")
        command = read_command(line)
        if isinstance(command, Refused):
            return command
        if command.gateway != self._spool.gateway:
            return Refused(f"it is for the gateway {command.gateway}")
        if command.key != by.id:
            return Refused("it names another key than the one that signed it")
        return command, None if signer is None else signer.id

    @staticmethod
    def _signer(line: Line, keys: Sequence[PublicKey]) -> PublicKey | None:
        return next((key for key in keys if line.verified_by(key)), None)

    def _obstacle(self, command: Command, signer: str | None) -> str:
        highest = self._spool.kept(kept.COUNTER) or 0
        if command.epoch != self._spool.epoch:
            return f"it is for the epoch {command.epoch}, and this is {self._spool.epoch}"
        if command.counter <= highest:
            return f"its counter is {command.counter}, and {highest} was heard before"
        if signer is None and not isinstance(command.do, TrustKey):
            return "the recovery key signs trust_key alone"
        return ""

    def _answers(self) -> list[list[Any]]:
        return self._spool.kept(kept.ANSWERS) or []

    def _known(self, name: str | int) -> list[Any] | None:
        return next((answer for answer in self._answers() if name in (answer[0], answer[3])), None)

    def _sealed(self, answer: Sequence[Any]) -> bytes:
        counter, ok, why, _ = answer
        key = self._signing.current
        at = max(0, self._clock.utc_ms() // 1_000)
        return seal_answer(
            Answer(gateway=self._spool.gateway, key=key.public.id, counter=counter, at=at, ok=ok, why=why[:256]), key
        )
