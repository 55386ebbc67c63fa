"""The keys that this gateway signs with, one after another, and the operator's that it trusts: as they lie on disk.

The first key is the configured `key_file`, which nothing here ever writes: it may be a read-only credential,
and it is the TLS client's too. What came after it lies beside the spool: each key as PEM in `<spool>.key-<id>`,
readable by its owner alone, and what is known of them in `<spool>.keys`. Both are whole or as they were before.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from edge_agent.identity import KeyUnusable, read_signing_key
from shared.errors import InvalidRecord
from shared.key import PublicKey, SigningKey

FORM: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Receipt keys that a command has put in place of the configured ones, which were `instead_of` then."""

    instead_of: tuple[str, ...]
    """Key ids, in order. People who configure others decide anew, and these are void."""
    keys: tuple[PublicKey, ...]
    by: tuple[int, str] | None = None
    """The command's counter and the hash of its bytes: it may come again, and its signer is trusted no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The present key, those around it, and the lines that say so."""

    current: SigningKey
    next: SigningKey | None = None
    """Made and durable; no line is signed with it yet."""
    old: SigningKey | None = None
    """Kept until the lines that replaced it are receipted."""
    former: tuple[PublicKey, ...] = ()
    """Keys whose lines may still be held."""
    lines: tuple[bytes, ...] = ()
    """The `rotate` lines that brought in the present key, and those before it of which that was not known yet; until
    they are receipted."""
    trusted: Trusted | None = None

    @property
    def signers(self) -> tuple[PublicKey, ...]:
        """Every key that has signed, or may have signed, a line of this gateway."""
        return (self.current.public, *self.former)

    def receipt_keys(self, configured: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """The operator's keys that sign for this gateway, given those that are configured."""
        if self.trusted is None or self.trusted.instead_of != tuple(key.id for key in configured):
            return tuple(configured)
        return self.trusted.keys

    def promoted(self, lines: Sequence[bytes]) -> "Keys":
        """The next key is the present one; these lines have replaced the old one."""
        assert self.next is not None, "a key is made before it is announced"
        former = (self.current.public, *self.former)[:FORMER_MAX]
        return replace(self, current=self.next, next=None, old=self.current, former=former, lines=tuple(lines))


FORMER_MAX: Final = 64
"""Former keys whose lines are still recognised when a damaged spool is salvaged."""


class Keyring(Protocol):
    """Where the keys are kept."""

    def load(self) -> Keys:
        """The keys as they were last kept; raises KeyUnusable."""

    def keep(self, keys: Keys) -> None:
        """The keys are durable when this returns; raises KeyUnusable, and then they are as before."""


class MemoryKeyring:
    """Keys that end with the process: a gateway that never rotates needs no more."""

    def __init__(self, first: SigningKey) -> None:
        self.keys = Keys(current=first)

    def load(self) -> Keys:
        """The keys as they were last kept."""
        return self.keys

    def keep(self, keys: Keys) -> None:
        """The keys are remembered."""
        self.keys = keys


class FileKeyring:
    """Keys on this machine's disk."""

    def __init__(self, key_file: Path, spool_path: Path) -> None:
        self._first = key_file
        self._ring = spool_path.with_name(f"{spool_path.name}.keys")
        self._prefix = f"{spool_path.name}.key-"

    def load(self) -> Keys:
        """The keys as they were last kept; raises KeyUnusable."""
        first = read_signing_key(self._first)
        told = self._read()
        if told is None:
            return Keys(current=first)
        try:
            former = tuple(PublicKey.from_text(text) for text in told["former"])
            if told["first"] != first.public.id:
                # People have given this gateway another key: what was said of the last one is history.
                return Keys(current=first, former=(*self._known(told), *former)[:FORMER_MAX])
            trusted = told["trusted"]
            return Keys(
                current=self._key(told["current"], first),
                next=self._key(told["next"], first) if told["next"] else None,
                old=self._key(told["old"], first) if told["old"] else None,
                former=former,
                lines=tuple(line.encode("ascii") for line in told["lines"]),
                trusted=trusted
                and Trusted(
                    instead_of=tuple(trusted["instead_of"]),
                    keys=tuple(PublicKey.from_text(text) for text in trusted["keys"]),
                    by=(trusted["by"][0], trusted["by"][1]) if trusted.get("by") else None,
                ),
            )
        except (KeyError, TypeError, ValueError, InvalidRecord) as error:
            raise KeyUnusable(f"{self._ring} is damaged: {error!r}; {_ADVICE}") from error

    def keep(self, keys: Keys) -> None:
        """The keys are durable when this returns; raises KeyUnusable, and then they are as before."""
        first = read_signing_key(self._first)
        needed = [key for key in (keys.current, keys.next, keys.old) if key is not None and key != first]
        told = {
            "form": FORM,
            "first": first.public.id,
            "current": keys.current.public.id,
            "public": keys.current.public.text,
            "next": keys.next and keys.next.public.id,
            "old": keys.old and keys.old.public.id,
            "former": [key.text for key in keys.former],
            "lines": [line.decode("ascii") for line in keys.lines],
            "trusted": keys.trusted
            and {
                "instead_of": keys.trusted.instead_of,
                "keys": [key.text for key in keys.trusted.keys],
                "by": keys.trusted.by,
            },
        }
        try:
            # A key is on disk before anything says that it is there, and gone only after nothing does.
            for key in needed:
                self._write(self._file(key.public.id), key.pem)
            self._write(self._ring, json.dumps(told, indent=1) + "\n")
            names = {self._file(key.public.id).name for key in needed}
            for file in self._ring.parent.glob(f"{self._prefix}*"):
                if file.name not in names:
                    file.unlink()
        except OSError as error:
            raise KeyUnusable(f"{self._ring} cannot be written: {error.strerror}") from error

    def _file(self, key: str) -> Path:
        return self._ring.with_name(f"{self._prefix}{key}")

    def _key(self, name: str, first: SigningKey) -> SigningKey:
        return first if name == first.public.id else read_signing_key(self._file(name))

    def _read(self) -> dict[str, Any] | None:
        try:
            told = json.loads(self._ring.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyUnusable(f"{self._ring} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise KeyUnusable(f"{self._ring} is damaged; {_ADVICE}") from error
        if not isinstance(told, dict) or told.get("form") != FORM:
            raise KeyUnusable(f"{self._ring} is of another version of this program, or damaged; {_ADVICE}")
        return told

    @staticmethod
    def _known(told: dict[str, Any]) -> tuple[PublicKey, ...]:
        return (PublicKey.from_text(told["public"]),)

    def _write(self, file: Path, text: str) -> None:
        if file != self._ring and file.exists() and file.read_text(encoding="ascii") == text:
            return
        beside = file.with_name(f"{file.name}.new")
        beside.unlink(missing_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_ADVICE: Final = "move it aside, and enrol the gateway again if its lines are not taken"
