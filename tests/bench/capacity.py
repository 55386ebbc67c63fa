"""Unit costs for docs/explanation/capacity.md: processor time and bytes a line, memory a connection, time an invoice.

`python -m tests.bench.capacity` prints them; a minute of one core. Processor time is counted, not the wall clock,
so that what else the machine does changes little. `needs` is the page's arithmetic; a test holds the page to it.
"""

import json
import math
import os
import socket
import ssl
import struct
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cloud_collector.fleet.gateways import add_gateway
from cloud_collector.fleet.pki import begin, write
from cloud_collector.intake.intake import Intake
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.store import Store
from shared.effects.database import Database
from shared.effects.postgres import PostgresDatabase
from shared.effects.sqlite import SqliteDatabase
from shared.key import SigningKey
from shared.topic import PREFIX
from tests.bench.payloads import CHANNELS, INTERVALS, STEP, fleet, live
from tests.postgres import new_schema
from tests.processes import Process, free_port, wait_for_port
from tests.requirements import require

GATEWAYS: Final = 256
LINES_EACH: Final = 12
BATCH: Final = 256
CONNECTIONS: Final = 200
MESSAGES: Final = 1_000
_PINGRESP: Final = 0xD0
SECONDS_A_YEAR: Final = 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one unit costs on the machine that the page names."""

    wire_bytes_a_line: float
    """Payload of one line, deflated."""
    intake_us_a_line: float
    """Processor time of the collector on SQLite: open, verify, commit, receipt."""
    sqlite_bytes_a_line: float
    intake_postgres_us_a_line: float
    """Processor time of the collector on PostgreSQL."""
    postgres_us_a_line: float
    """Processor time of the server's process beside it."""
    postgres_bytes_a_line: float
    broker_us_a_line: float
    """Processor time of Mosquitto for a report to the collector and a receipt back, over TLS."""
    broker_bytes_a_connection: float
    """Memory of Mosquitto for a connected gateway, over TLS, with its three subscriptions."""
    invoice_ms: float
    """Processor time of one core for an issued invoice of ten devices with three charges; `make bench`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a number of channels comes to."""

    channels: int
    gateways: int
    lines_a_second: float
    readings_a_second: float
    collector_cores: float
    server_cores: float
    broker_cores: float
    connections_gib: float
    stored_gib_a_year: float
    wire_mbit_a_second: float
    invoices: int
    billing_core_hours: float


def needs(channels: int, costs: Costs, *, postgres: bool, channels_an_invoice: int = 20) -> Needs:
    """The arithmetic of the page, step by step: a line holds 20 channels × 15 minutes."""
    gateways = math.ceil(channels / CHANNELS)
    lines = gateways / (INTERVALS * STEP)
    each = costs.intake_postgres_us_a_line if postgres else costs.intake_us_a_line
    stored = costs.postgres_bytes_a_line if postgres else costs.sqlite_bytes_a_line
    invoices = math.ceil(channels / channels_an_invoice)
    return Needs(
        channels=channels,
        gateways=gateways,
        lines_a_second=lines,
        readings_a_second=lines * CHANNELS * INTERVALS,
        collector_cores=lines * each / 1e6,
        server_cores=lines * costs.postgres_us_a_line / 1e6 if postgres else 0.0,
        broker_cores=lines * costs.broker_us_a_line / 1e6,
        connections_gib=gateways * costs.broker_bytes_a_connection / 2**30,
        stored_gib_a_year=lines * SECONDS_A_YEAR * stored / 2**30,
        wire_mbit_a_second=lines * costs.wire_bytes_a_line * 8 / 1e6,
        invoices=invoices,
        billing_core_hours=invoices * costs.invoice_ms / 3_600_000,
    )


def intake_costs(database: Database, bytes_of: "Meter", pids: "Meter") -> tuple[float, float, float]:
    """Microseconds a line of this process, of the server's, and bytes a line, over a fleet's live lines."""
    store = Store(database)
    gateways = fleet(GATEWAYS)
    for gateway in gateways:
        add_gateway(store, gateway.name, gateway.key.public, 0)
    payloads = list(live(gateways, LINES_EACH))
    intake = Intake(store, CollectorSettings(), SigningKey(bytes(32)))
    now_ms = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1000

    def take(batch: list[tuple[str, bytes]]) -> None:
        outcome = intake.commit(intake.open(batch, intake.keys_for([topic for topic, _ in batch])), now_ms)
        assert outcome.counts() == {"accepted": len(batch)}

    take(payloads[:GATEWAYS])
    for at in range(GATEWAYS, GATEWAYS * 3, BATCH):
        take(payloads[at : at + BATCH])
    left = payloads[GATEWAYS * 3 :]
    size, beside, began = bytes_of(), pids(), time.process_time()
    for at in range(0, len(left), BATCH):
        take(left[at : at + BATCH])
    spent, served, grown = time.process_time() - began, pids() - beside, bytes_of() - size
    return spent / len(left) * 1e6, served / len(left) * 1e6, grown / len(left)


class Meter:
    """A figure that is read twice."""

    def __call__(self) -> float:
        """The figure now."""
        return 0.0


@dataclass
class Size(Meter):
    """Bytes of a file of SQLite and its log, or of a schema of PostgreSQL with its indexes."""

    database: Database
    path: Path | None = None

    def __call__(self) -> float:
        if self.path is not None:
            self.database.execute("pragma wal_checkpoint(truncate)")
            return float(self.path.stat().st_size)
        query = (
            "select coalesce(sum(pg_total_relation_size(oid::regclass)), 0)::bigint from pg_class "
            "where relnamespace = current_schema()::regnamespace and relkind = 'r'"
        )
        return float(str(self.database.execute(query)[0][0]))


@dataclass
class Spent(Meter):
    """Processor seconds of a process."""

    pid: int

    def __call__(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a process has for itself."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")) * 1024


def broker_costs(folder: Path) -> tuple[float, float]:
    """Microseconds of Mosquitto a line with its receipt, and bytes a connection, over TLS."""
    now = datetime.now(UTC)
    write(folder, begin(folder, name="bench", client="_c", hosts=["localhost"], recovery=("-", "-"), now=now))
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\ntls_version tlsv1.3\n"
        f"cafile {folder}/ca.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"
        "max_queued_messages 0\nset_tcp_nodelay true\nmax_inflight_messages 1000\n",
        encoding="ascii",
    )
    process = Process("mosquitto", [require("mosquitto"), "-c", str(config)], folder / "log")
    process.start()
    wait_for_port(port)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    held: list[ssl.SSLSocket] = []
    try:
        held = [_connected(context, port, f"warm-{at}") for at in range(20)]
        before = resident(process.pid)
        held += [_connected(context, port, f"gw-{at}") for at in range(CONNECTIONS)]
        memory = (resident(process.pid) - before) / CONNECTIONS
        collector = _connected(context, port, "_c", filters=(f"{PREFIX}/+/report",))
        payload = next(iter(live(fleet(1), 1)))[1]
        spent = Spent(process.pid)
        began = spent()
        for at in range(MESSAGES):
            # Report in, report out, its acknowledgement; receipt in, receipt out: as one line travels.
            held[20].sendall(_publish(f"{PREFIX}/gw-0/report", payload, at % 60_000 + 1))
            _packet(held[20], 0x40)
            _acknowledged(collector)
            collector.sendall(_publish(f"{PREFIX}/gw-0/receipt", payload[:300], at % 60_000 + 1))
            _packet(collector, 0x40)
            _acknowledged(held[20])
        return (spent() - began) / MESSAGES * 1e6, memory
    finally:
        for each in held:
            each.close()
        process.kill()


def _connected(context: ssl.SSLContext, port: int, name: str, filters: tuple[str, ...] = ()) -> ssl.SSLSocket:
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
    sock.settimeout(0.05)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + _text(name)
    sock.sendall(b"\x10" + _length(len(body)) + body)
    _packet(sock, 0x20)
    own = filters or tuple(f"{PREFIX}/{name}/{leaf}" for leaf in ("receipt", "command", "alert"))
    asked = b"\x00\x01" + b"".join(_text(each) + b"\x01" for each in own)
    sock.sendall(b"\x82" + _length(len(asked)) + asked)
    _packet(sock, 0x90)
    return sock


def _publish(topic: str, payload: bytes, id_: int) -> bytes:
    body = _text(topic) + struct.pack(">H", id_) + payload
    return b"\x32" + _length(len(body)) + body


def _acknowledged(sock: ssl.SSLSocket) -> None:
    """One PUBLISH is read and acknowledged."""
    body = _packet(sock, 0x30)
    topic = struct.unpack(">H", body[:2])[0]
    sock.sendall(b"\x40\x02" + body[2 + topic : 4 + topic])


def _packet(sock: ssl.SSLSocket, kind: int) -> bytes:
    """The next packet of that kind; Mosquitto 2.0 may wait for more bytes of TLS first: so they come."""
    while True:
        head = _heard(sock, 1)[0]
        size, shift = 0, 0
        while True:
            byte = _heard(sock, 1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        body = _heard(sock, size)
        if head & 0xF0 == kind:
            return body
        assert head == _PINGRESP, hex(head)


def _heard(sock: ssl.SSLSocket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        try:
            more = sock.recv(count - len(found))
        except TimeoutError:
            sock.sendall(b"\xc0\x00")
            continue
        assert more, "the broker hung up"
        found += more
    return found


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _length(size: int) -> bytes:
    return bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])


def measured(invoice_ms: float) -> Costs:
    """Every unit cost on this machine; that of an invoice comes from `make bench`."""
    with TemporaryDirectory(prefix="meterseal-capacity-") as folder:
        path = Path(folder) / "collector.db"
        lite = SqliteDatabase(path)
        sqlite = intake_costs(lite, Size(lite, path), Meter())
        lite.close()
        own = PostgresDatabase(new_schema())
        ((pid,),) = own.execute("select pg_backend_pid()")
        postgres = intake_costs(own, Size(own), Spent(int(str(pid))))
        own.close()
        (Path(folder) / "pki").mkdir()
        broker, memory = broker_costs(Path(folder) / "pki")
    lines = [payload for _, payload in live(fleet(8), 20)][8:]
    return Costs(
        wire_bytes_a_line=sum(map(len, lines)) / len(lines),
        intake_us_a_line=sqlite[0],
        sqlite_bytes_a_line=sqlite[2],
        intake_postgres_us_a_line=postgres[0],
        postgres_us_a_line=postgres[1],
        postgres_bytes_a_line=postgres[2],
        broker_us_a_line=broker,
        broker_bytes_a_connection=memory,
        invoice_ms=invoice_ms,
    )


if __name__ == "__main__":
    found = measured(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
    print(json.dumps(asdict(found), indent=2))
