"""SNMP as it is needed here: several objects at once, and a column; with a sentence for everything that may go wrong.

Only this file knows pysnmp, which is loaded with it (the extra `snmp`). It never sets anything.
Source: RFC 3416 (GetRequest, GetBulkRequest), RFC 3414 (USM).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch.asyncio import (
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    Udp6TransportTarget,
    UdpTransportTarget,
    UsmUserData,
    bulk_cmd,
    get_cmd,
    usmAesCfb128Protocol,
    usmAesCfb192Protocol,
    usmAesCfb256Protocol,
    usmDESPrivProtocol,
    usmHMAC128SHA224AuthProtocol,
    usmHMAC192SHA256AuthProtocol,
    usmHMAC256SHA384AuthProtocol,
    usmHMAC384SHA512AuthProtocol,
    usmHMACMD5AuthProtocol,
    usmHMACSHAAuthProtocol,
    usmNoAuthProtocol,
    usmNoPrivProtocol,
)
from pysnmp.proto import errind

from edge_agent.reading import SourceDown
from edge_agent.sources.secret import secret_of
from edge_agent.sources.snmp_settings import SnmpSettings, Value

OBJECTS_A_REQUEST_MAX: Final = 24
"""So that an answer fits the 1,472 bytes that every network carries whole."""
COLUMN_ROWS_MAX: Final = 4_096
"""The most interfaces that a device may list."""
_ROWS_A_REQUEST: Final = 25
_AUTH: Final = {
    "md5": usmHMACMD5AuthProtocol,
    "sha": usmHMACSHAAuthProtocol,
    "sha224": usmHMAC128SHA224AuthProtocol,
    "sha256": usmHMAC192SHA256AuthProtocol,
    "sha384": usmHMAC256SHA384AuthProtocol,
    "sha512": usmHMAC384SHA512AuthProtocol,
}
_PRIVACY: Final = {
    "des": usmDESPrivProtocol,
    "aes128": usmAesCfb128Protocol,
    "aes192": usmAesCfb192Protocol,
    "aes256": usmAesCfb256Protocol,
}
_ABSENT: Final = frozenset({"NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null"})


class SnmpPeer:
    """One device, asked over UDP."""

    def __init__(self, settings: SnmpSettings) -> None:
        self._settings = settings
        self._engine = SnmpEngine()
        self._target: Any = None

    async def get(self, oids: Sequence[str]) -> Mapping[str, Value]:
        """The values of those objects that the device has; raises SourceDown."""
        values: dict[str, Value] = {}
        for at in range(0, len(oids), OBJECTS_A_REQUEST_MAX):
            asked = [ObjectType(ObjectIdentity(oid)) for oid in oids[at : at + OBJECTS_A_REQUEST_MAX]]
            values |= await self._exchange(get_cmd, asked)
        return values

    async def column(self, oid: str) -> Mapping[int, Value]:
        """A table's column by its index; raises SourceDown."""
        rows: dict[int, Value] = {}
        after = oid
        while len(rows) < COLUMN_ROWS_MAX:
            found = await self._exchange(bulk_cmd, [ObjectType(ObjectIdentity(after))], 0, _ROWS_A_REQUEST)
            inside = {key: value for key, value in found.items() if key.startswith(f"{oid}.")}
            if not inside:
                break
            rows |= {int(key.rpartition(".")[2]): value for key, value in inside.items()}
            if len(inside) < len(found) or (after := list(inside)[-1]) == oid:
                break
        return rows

    def close(self) -> None:
        """The socket is closed."""
        self._target = None
        self._engine.close_dispatcher()

    async def _exchange(self, command: Any, objects: Sequence[Any], *before: int) -> dict[str, Value]:
        settings = self._settings
        try:
            if self._target is None:
                transport = Udp6TransportTarget if ":" in settings.host else UdpTransportTarget
                self._target = await transport.create(
                    (settings.host, settings.port), timeout=settings.timeout_seconds, retries=settings.retries
                )
            wrong, status, index, found = await command(
                self._engine, self._user(), self._target, ContextData(), *before, *objects, lookupMib=False
            )
        except (PySnmpError, OSError) as error:
            self._target = None
            raise SourceDown(f"{self._where} cannot be asked: {self._reason(error)}") from error
        if wrong is not None:
            self._target = None  # A name may lead elsewhere by the next time.
            raise SourceDown(self._sentence(wrong))
        if int(status):
            about = objects[int(index) - 1][0] if 0 < int(index) <= len(objects) else "the request"
            plain = settings.version == "3" and settings.privacy_file is None
            may = "may this user read it" + (", and without privacy_file?" if plain else "?")
            raise SourceDown(f"{self._where} refuses {about} ({status.prettyPrint()}): {may}")
        return {str(oid): value for oid, given in found if (value := _plain(given)) is not None}

    def _user(self) -> Any:
        settings = self._settings
        if settings.version == "2c":
            return CommunityData("public" if settings.community_file is None else secret_of(settings.community_file))
        return UsmUserData(
            settings.username,
            None if settings.auth_file is None else secret_of(settings.auth_file),
            None if settings.privacy_file is None else secret_of(settings.privacy_file),
            authProtocol=usmNoAuthProtocol if settings.auth_file is None else _AUTH[settings.auth],
            privProtocol=usmNoPrivProtocol if settings.privacy_file is None else _PRIVACY[settings.privacy],
        )

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _sentence(self, wrong: Any) -> str:
        user = f"user {self._settings.username}"
        match wrong:
            case errind.RequestTimedOut():
                asked = "is the community right"
                if self._settings.version == "3":
                    asked = f"does {user} have this passphrase in privacy_file"
                return f"{self._where} does not answer: is SNMP on, is this machine let in, and {asked}?"
            case errind.UnknownUserName():
                return f"{self._where} does not know {user}: check username"
            case errind.WrongDigest() | errind.AuthenticationFailure():
                return f"{self._where} does not believe {user}: check auth and what auth_file holds"
            case errind.DecryptionError():
                return f"{self._where} cannot decrypt what {user} says: check privacy and what privacy_file holds"
            case errind.UnsupportedSecurityLevel() | errind.AuthorizationError():
                return f"{self._where} refuses {user} at this level: give, or leave out, privacy_file and auth_file"
            case _:
                return f"{self._where} did not answer as it should: {wrong}"

    @staticmethod
    def _reason(error: Exception) -> str:
        text = str(error).partition(" caused by")[0].strip() or type(error).__name__
        return text.splitlines()[0][:200]


def _plain(given: Any) -> Value | None:
    """A value without pysnmp's types; None: the device has no such object."""
    if type(given).__name__ in _ABSENT:
        return None
    try:
        return int(given)
    except (TypeError, ValueError):
        return bytes(given).decode("utf-8", "replace") if hasattr(given, "asOctets") else str(given)
