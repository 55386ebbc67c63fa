"""Nodes of an OPC UA server: machines, building automation, energy meters behind a PLC.

All nodes are read in one request. A node whose status is not good has no reading, the others have theirs. A
connection that fails is made anew by the next reading. Source: OPC UA parts 4 (services, status codes) and
6 (node ids); asyncua, which is loaded with the first connection.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from edge_agent.reading import ChannelName, ChannelSpec, Reading, SourceDown
from edge_agent.sources.extra import library
from edge_agent.sources.modbus_values import digits_of, scale_of
from edge_agent.sources.opcua_settings import OpcuaChannel, OpcuaSettings
from edge_agent.sources.printed_channel import Silence
from shared.effects.clock import Clock
from shared.errors import InvalidRecord
from shared.limits import INTEGER_MAX

CLOSE_SECONDS_MAX: Final = 2.0


class OpcuaSource:
    """One session with one server."""

    def __init__(self, settings: OpcuaSettings, clock: Clock) -> None:
        self.name = settings.name
        self.poll_seconds = settings.poll_seconds
        self._settings = settings
        self._clock = clock
        self._client: Any = None
        self._nodes: list[Any] = []
        self._silence = Silence(settings.name)
        self.channels: tuple[ChannelSpec, ...] = tuple(
            channel.spec(self.name, settings.log) for channel in settings.channels
        )

    async def read(self) -> Sequence[Reading]:
        """A reading of each node whose status is good; raises SourceDown where the server is not to be read."""
        ua = _asyncua().ua
        done = False
        try:
            if self._client is None:
                await self._connect()
            async with asyncio.timeout(self._settings.timeout_seconds):
                values = await self._client.uaclient.read_attributes(self._nodes, ua.AttributeIds.Value)
            done = True
        except TimeoutError as error:
            raise SourceDown(
                f"{self._settings.url} does not answer within {self._settings.timeout_seconds:g} s"
            ) from error
        except ua.UaStatusCodeError as error:
            raise SourceDown(f"{self._settings.url} refuses: {_sentence(error)}") from error
        except (OSError, ua.UaError) as error:
            raise SourceDown(f"{self._settings.url} cannot be read: {error or type(error).__name__}") from error
        finally:
            if not done:
                await self._drop()
        at_ms = self._clock.boot_ms()
        readings = []
        whys: dict[ChannelName, str] = {}
        for channel, value in zip(self._settings.channels, values, strict=True):
            try:
                steps = _steps(channel, value, ua)
            except InvalidRecord as error:
                whys[channel.name] = f"{'.'.join(channel.name)}: {error}"
                continue
            readings.append(
                Reading(device=channel.device, meter=channel.meter, value=steps, at_ms=at_ms, serial=channel.serial)
            )
        self._silence.of(whys, all_of_it=not readings)
        return readings

    async def close(self) -> None:
        """The session has ended."""
        await self._drop()

    async def _connect(self) -> None:
        settings = self._settings
        asyncua = _asyncua()
        client = self._client = asyncua.Client(settings.url, timeout=settings.timeout_seconds)
        client.name = client.description = "meterseal"
        async with asyncio.timeout(settings.timeout_seconds):
            if settings.username and settings.password_file is not None:
                client.set_user(settings.username)
                client.set_password(settings.password_file.read_text(encoding="utf-8").strip())
            if settings.security != "none":
                await self._secure(client)
            await client.connect()
            namespaces = await client.get_namespace_array()
        self._nodes = [_node(channel, namespaces, asyncua.ua) for channel in settings.channels]

    async def _secure(self, client: Any) -> None:
        settings, ua = self._settings, _asyncua().ua
        assert settings.cert_file is not None, "its settings hold all three files, or none"
        policies = library("asyncua.crypto.security_policies", "opcua")
        modes = ua.MessageSecurityMode
        try:
            client.application_uri = _application_uri(settings.cert_file.read_bytes()) or client.application_uri
            await client.set_security(
                policies.SecurityPolicyBasic256Sha256,
                settings.cert_file,
                settings.key_file,
                server_certificate=str(settings.server_cert_file),
                mode=modes.Sign if settings.security == "sign" else modes.SignAndEncrypt,
            )
        except ValueError as error:
            raise SourceDown(f"a certificate or key of {settings.url} cannot be used: {error}") from error

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await client.disconnect()
        except (OSError, TimeoutError, _asyncua().ua.UaError):
            pass  # It is gone either way.
        finally:
            client.disconnect_socket()


def _asyncua() -> Any:
    asyncua = library("asyncua", "opcua")
    # What it says of connections is said better by our own events.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    return asyncua


def _node(channel: OpcuaChannel, namespaces: Sequence[str], ua: Any) -> Any:
    """The node's id on this server; raises SourceDown where it has no such namespace."""
    text = channel.node
    if text.startswith("nsu="):
        uri, _, rest = text.removeprefix("nsu=").partition(";")
        if uri not in namespaces:
            raise SourceDown(f"the server has no namespace {uri}, of {channel.device}.{channel.meter}")
        text = f"ns={namespaces.index(uri)};{rest}"
    try:
        return ua.NodeId.from_string(text)
    except (ua.UaError, ValueError) as error:
        raise SourceDown(f"{channel.device}.{channel.meter}: {channel.node!r} is no node id") from error


def _steps(channel: OpcuaChannel, found: Any, ua: Any) -> int:
    """The value as whole steps, exactly; raises InvalidRecord with why there is none."""
    status = found.StatusCode
    if status is not None and not status.is_good():
        raise InvalidRecord(f"the status of {channel.node} is {status.name}")
    value = None if found.Value is None else found.Value.Value
    if not isinstance(value, bool | int | float | Decimal):
        raise InvalidRecord(f"the value of {channel.node} is no number")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise InvalidRecord(f"the value of {channel.node} is {value}")
    if channel.kind == "state":
        return int(value != 0)
    if isinstance(value, float):
        # P1: the shortest digits that mean this number: 0.1 and not 0.1000000015 where a node holds 32 bits.
        value = Decimal(digits_of(value, "f32" if found.Value.VariantType is ua.VariantType.Float else "f64"))
    steps = math.floor(Fraction(value) * scale_of(channel.scale) / Fraction(10) ** channel.exponent)
    if abs(steps) > INTEGER_MAX:
        raise InvalidRecord(f"the value of {channel.node} is too large")
    return steps


def _application_uri(raw: bytes) -> str:
    """The name that an application's certificate gives it, which a server compares; empty where there is none."""
    from cryptography import x509  # noqa: PLC0415 - only where it is configured.

    read = x509.load_pem_x509_certificate if raw.startswith(b"-----") else x509.load_der_x509_certificate
    try:
        names = read(raw).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def _sentence(error: Any) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
