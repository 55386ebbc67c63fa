"""The tree of errors that `shared` may raise, and the value it returns instead where input is untrusted.

    MetersealError
    ├── InvalidRecord        a record's constructor was given what the wire forbids
    ├── LinkError
    │   ├── LinkRefused      the broker was reached and said no, or cannot be reached: one sentence
    │   │   └── CertificateRefused  it does not take this side's certificate
    │   └── LinkLost         an established session ended
    ├── HttpsError
    │   ├── HttpsUnreachable the server cannot be reached, or is not who it should be
    │   └── HttpsRefused     the server said no: its sentence and its status
    └── DatabaseError
        ├── DatabaseFull     no room on the device
        ├── DatabaseBusy     another process holds it
        ├── DatabaseCorrupt  the file is no database, or a damaged one
        └── DatabaseFailed   any other input or output error: fatal for the process
            ├── DatabaseRefused  a statement or a row of it was at fault: others can still be done
            └── SchemaNewer  a newer version of the program has written it: a restart mends nothing

Untrusted bytes never raise: they are answered by a `Refused`.
"""

from dataclasses import dataclass


class MetersealError(Exception):
    """Something that Meterseal ran into; the message says what to do next."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class InvalidRecord(MetersealError):
    """A record breaks a rule of the wire format."""


class LinkError(MetersealError):
    """The MQTT link failed."""


class LinkRefused(LinkError):
    """The broker cannot be reached or refused the session."""


class CertificateRefused(LinkRefused):
    """The broker does not take this side's certificate."""


class LinkLost(LinkError):
    """The session with the broker ended."""


class HttpsError(MetersealError):
    """A request over HTTPS failed."""


class HttpsUnreachable(HttpsError):
    """The server cannot be reached, or is not who it should be."""


class HttpsRefused(HttpsError):
    """The server refused the request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DatabaseError(MetersealError):
    """The database failed."""


class DatabaseFull(DatabaseError):
    """There is no room left on the device that holds the database."""


class DatabaseBusy(DatabaseError):
    """Another process holds the database."""


class DatabaseCorrupt(DatabaseError):
    """The database file is damaged."""


class DatabaseFailed(DatabaseError):
    """Reading or writing the database failed."""


class DatabaseRefused(DatabaseFailed):
    """The database refuses what it was told to do, and does the rest as before."""


class SchemaNewer(DatabaseFailed):
    """A newer version of this program has written the database."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Untrusted input that breaks a rule, with a plain reason for people."""

    reason: str
