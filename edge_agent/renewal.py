"""Renewal of this gateway's certificate: asked for by its key, whether the old one has expired or not.

The running agent runs this module as a short-lived child, so that HTTPS costs it no memory while it meters:
`python -m edge_agent.renewal ENROLMENT_FILE KEY_FILE`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_agent.enrolment import AUTHORITY, Enrolment, EnrolmentUnusable, keep_certificate
from edge_agent.identity import read_signing_key
from shared.effects.https import Https
from shared.enrolment import RENEW_PATH, Credentials, Renewal
from shared.errors import HttpsRefused, HttpsUnreachable, MetersealError, Refused
from shared.key import SigningKey

COME_AGAIN: Final = (429, 503)
"""Statuses that say nothing against this gateway."""


def renewed(enrolment_file: Path | None, key_file: Path) -> Credentials:
    """A certificate of the present key that lasts is on disk; what the collector has said.

    Raises NotEnrolled, EnrolmentUnusable, KeyUnusable, HttpsError.
    """
    enrolment = Enrolment.read(enrolment_file)
    folder = (enrolment_file or key_file).parent
    key = read_signing_key(key_file)
    try:
        authority = (folder / AUTHORITY).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentUnusable(f"{folder / AUTHORITY} cannot be read: {error}; enrol again") from error
    found = ask(Https(enrolment.url, authority=authority), enrolment.gateway, key)
    keep_certificate(folder, key_file, found, url=enrolment.url, key=key.public.id)
    return found


def ask(server: Https, gateway: str, key: SigningKey) -> Credentials:
    """How the key stands, and its certificate; raises HttpsError."""
    return credentials(server.post(RENEW_PATH, Renewal.signed(gateway, key).body))


def credentials(body: object) -> Credentials:
    """The collector's answer; raises HttpsUnreachable where it is none."""
    found = Credentials.read(body)
    if isinstance(found, Refused):
        raise HttpsUnreachable(f"the collector's answer cannot be used: {found.reason}; is it of this version?")
    return found


def exit_of(error: MetersealError) -> int:
    """4 where the collector says no, 75 where it cannot be asked now, else 1."""
    match error:
        case HttpsRefused(status=status) if status not in COME_AGAIN:
            return 4
        case HttpsRefused() | HttpsUnreachable():
            return 75
        case _:
            return 1


def main(arguments: Sequence[str]) -> int:
    """Renew, and say on stderr in one sentence why not."""
    try:
        renewed(Path(arguments[0]), Path(arguments[1]))
    except MetersealError as error:
        sys.stderr.write(f"{error}\n")
        return exit_of(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
