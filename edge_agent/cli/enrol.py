"""`edge-agent enrol` and `edge-agent renew`: how this gateway comes by its name and its certificate."""

import contextlib
import os
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.cli.exits import Exit
from edge_agent.config import load
from edge_agent.enrolment import FRAGMENT, fragment, keep, keep_certificate, keep_fragment, own_as_folder
from edge_agent.identity import make_key, read_signing_key
from edge_agent.invalid import ConfigInvalid
from edge_agent.renewal import ask, credentials, exit_of, renewed
from shared.claim import ClaimCode
from shared.effects.https import Https, parsed
from shared.enrolment import AUTHORITY_PATH, ENROL_PATH, Claim, Credentials, Standing
from shared.errors import HttpsError, HttpsUnreachable, InvalidRecord
from shared.key import SigningKey

CONFIG: Final = Path("/etc/meterseal/agent.toml")
POLL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where things lie: the configuration, the key, and the folder of everything that enrolment leaves behind."""

    config: Path
    key_file: Path
    folder: Path
    chosen: tuple[tuple[str, Path], ...]
    """Options that were chosen with `--set`, now or at an earlier enrolment: commands that follow need them too."""


def enrol(url: str, code: str, config: Path, flags: Sequence[str], *, wait: bool) -> Exit:
    """This gateway has a key, a certificate and its configuration, and is enrolled, or awaits acceptance."""
    try:
        parsed(url)
        typed = ClaimCode.read(code)
    except InvalidRecord as error:
        sys.stderr.write(f"{error}\n")
        return Exit.USAGE
    place = _place(config, flags)
    key = _key(place)
    try:
        authority = _authority(url, typed)
        if authority is None:
            return Exit.REFUSED
        server = Https(url, authority=authority)
        found = credentials(server.post(ENROL_PATH, Claim.signed(typed.secret, key).body))
        written = keep(place.folder, place.key_file, found, url=url, key=key.public.id, authority=authority)
        written += keep_fragment(place.config, fragment(place.folder, found, place.chosen))
    except HttpsError as error:
        sys.stderr.write(f"{error}\n")
        return Exit(exit_of(error))
    for path in written:
        sys.stderr.write(f"wrote {path}\n")
    _warn_of_overrides(place, flags, found)
    return _awaited(server, place, key, found, url=url, wait=wait)


def renew(config: Path, flags: Sequence[str]) -> Exit:
    """This gateway's certificate is a lasting one of its present key; raises NotEnrolled."""
    settings = load(config, environment=os.environ, flags=flags).settings
    try:
        found = renewed(settings.enrolment_file, settings.key_file)
    except HttpsError as error:
        sys.stderr.write(f"{error}\n")
        return Exit(exit_of(error))
    print(f"{found.gateway}: {found.standing}, certificate until {_day(found.ends_at)}, due {_day(found.renew_at)}")
    return Exit.OK


def _place(config: Path, flags: Sequence[str]) -> Place:
    """Where the key lies; a gateway that has no configuration yet, or no name, is one that enrols."""
    found = load(config, environment=os.environ, flags=(*flags, "gateway=unnamed"), required=False)
    known = found.settings
    return Place(
        config=config,
        key_file=known.key_file,
        folder=known.spool_path.parent,
        chosen=tuple(
            (name, path.absolute())
            for name, path in (("key_file", known.key_file), ("spool_path", known.spool_path))
            if found.origin((name,)).startswith(("flag ", f"conf.d/{FRAGMENT}:"))
        ),
    )


def _key(place: Place) -> SigningKey:
    if place.key_file.exists():
        return read_signing_key(place.key_file)
    with contextlib.suppress(OSError):  # `make_key` says what is wrong with it.
        place.key_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    key = make_key(place.key_file)
    own_as_folder(place.key_file)
    sys.stderr.write(f"made {place.key_file}: it never leaves this gateway\n")
    return key


def _authority(url: str, code: ClaimCode) -> str | None:
    """The CA certificate that the code names, in PEM; whoever else answers there is told about, and not spoken to."""
    raw = Https(url, authority=None).get(AUTHORITY_PATH)
    try:
        der = ssl.PEM_cert_to_DER_cert(raw.decode("ascii"))
    except ValueError as error:
        raise HttpsUnreachable(f"{url} shows no certificate: is this the collector's enrolment port?") from error
    if code.names(der):
        return ssl.DER_cert_to_PEM_cert(der)
    sys.stderr.write(
        f"{url} is not the collector that this code comes from: its CA has another fingerprint; check the address, and "
        "if it is right, somebody is in between\n"
    )
    return None


def _awaited(server: Https, place: Place, key: SigningKey, found: Credentials, *, url: str, wait: bool) -> Exit:
    """People compare the words; until they have, the key stays pending."""
    words = key.public.words
    if found.standing is Standing.PENDING:
        print(f"\n{found.gateway}, and these are its words:\n\n  {words}\n")
        # Flushed: whoever reads it through a pipe has to see the words while this waits for them.
        print(f"At the collector: cloud-collector gateway accept {found.gateway} {words}", flush=True)
        if not wait:
            sys.stderr.write("not accepted yet; the same command again says how it stands\n")
            return Exit.OK
    line = _StatusLine()
    try:
        while found.standing is Standing.PENDING:
            line.show("waiting for acceptance; Ctrl-C leaves, the same command goes on")
            time.sleep(POLL_SECONDS)
            try:
                found = ask(server, found.gateway, key)
            except HttpsError as error:
                if exit_of(error) == Exit.REFUSED:
                    line.end()
                    sys.stderr.write(f"{error}\n")
                    return Exit.REFUSED
                line.show(f"waiting for acceptance; {error}")
    finally:
        line.end()
    keep_certificate(place.folder, place.key_file, found, url=url, key=key.public.id)
    print(f"{found.gateway} is enrolled; its words are {words}")
    print(f"Next: `edge-agent{_named(place.config)} probe` proposes what can be metered; then config check, and run")
    return Exit.OK


class _StatusLine:
    """One line that changes on a terminal, with the seconds; elsewhere it is said when it changes."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._shown = ""

    def show(self, text: str) -> None:
        if self._live:
            sys.stderr.write(f"\r\x1b[K{int(time.monotonic() - self._began)} s {text}")
        elif text != self._shown:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
        self._shown = text

    def end(self) -> None:
        if self._live and self._shown:
            sys.stderr.write("\r\x1b[K")
        self._shown = ""


def _warn_of_overrides(place: Place, flags: Sequence[str], found: Credentials) -> None:
    """What ranks above the fragment and says something else is named, for the agent would follow it."""
    try:
        config = load(place.config, environment=os.environ, flags=flags)
    except ConfigInvalid as error:
        sys.stderr.write(f"the configuration is not right yet: {error}\n")
        return
    wanted = {
        ("gateway",): (config.settings.gateway, found.gateway),
        ("prefix",): (config.settings.prefix, found.prefix),
        ("broker", "host"): (config.settings.broker.host, found.broker_host),
        ("broker", "port"): (config.settings.broker.port, found.broker_port),
    }
    for where, (there, told) in wanted.items():
        if there != told:
            name = ".".join(where)
            sys.stderr.write(f"{config.origin(where)} sets {name} = {there!r}, which ranks above {told!r}: remove it\n")


def _named(config: Path) -> str:
    return "" if config == CONFIG else f" --config {config}"


def _day(second: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(second))
