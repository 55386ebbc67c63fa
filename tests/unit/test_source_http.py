"""The source `http` on a real web server that is slow, huge, broken, redirects, fails, or speaks another TLS."""

import asyncio
import base64
import re
import ssl
import subprocess
import textwrap
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge_agent.invalid import InvalidSetting
from edge_agent.plain import record
from edge_agent.reading import ChannelName, Reading, SourceDown
from edge_agent.sources.http import HttpSource
from edge_agent.sources.http_get import HEAD_BYTES_MAX
from edge_agent.sources.http_settings import HttpChannel, HttpSettings
from shared.effects.memory import SimpleClock
from tests.processes import free_port
from tests.requirements import require

NOW = 1_795_168_800
STATUS = b'{"energy": {"total": 12345.678, "returned": [1.5]}, "uptime": 86400.7, "boot": "b-1", "on": true}'
METRICS = b"""# HELP app_requests_total Requests.
# TYPE app_requests_total counter
app_requests_total{tenant="a",path="/x \\"y\\""} 9007199254740991
app_requests_total{tenant="b",path="/"} 1.98522474e+08
app_requests_created{tenant="b",path="/"} 1.795165e+09
# TYPE node_network_transmit_bytes_total counter
node_network_transmit_bytes_total{device="eth0"} 288549 1795168800000
node_network_transmit_bytes_total{device="lo"} 7 # {trace="1"} 1
process_start_time_seconds 1.79516800025e+09
app_temperature_celsius NaN
app_broken{tenant="a} 5
"""


class Handler(BaseHTTPRequestHandler):
    """Pages that behave as badly as pages do."""

    def do_GET(self) -> None:
        """Answer by the path's first word."""
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        page: Callable[[], None] | None = getattr(self, f"page_{self.path.strip('/').partition('?')[0]}", None)
        if page is None:
            self.send_error(404)
        else:
            page()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page_status(self) -> None:
        self.answer(STATUS)

    def page_metrics(self) -> None:
        self.answer(METRICS)

    def page_number(self) -> None:
        self.answer(b"42.5\n")

    def page_chunked(self) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (STATUS[:20], STATUS[20:], b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def page_drips(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            time.sleep(0.1)
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def page_huge(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(64):
            try:
                self.wfile.write(b"x" * 65_536)
            except OSError:
                return

    def page_headers(self) -> None:
        self.answer(STATUS, X_Long="x" * (4 * HEAD_BYTES_MAX))

    def page_broken(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    def page_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(STATUS)

    def page_silent(self) -> None:
        self.close_connection = True

    def page_html(self) -> None:
        self.answer(b"<html>Please log in</html>")

    def page_gzip(self) -> None:
        self.answer(STATUS, Content_Encoding="gzip")

    def page_moved(self) -> None:
        self.answer(b"", 302, Location="https://elsewhere.example/status")

    def page_secret(self) -> None:
        if self.headers.get("Authorization") in ("Basic " + base64.b64encode(b"meter:right").decode(), "Bearer right"):
            self.answer(STATUS)
        else:
            self.answer(b"", 401, WWW_Authenticate='Basic realm="meter"')

    def page_digest(self) -> None:
        self.answer(b"", 401, WWW_Authenticate='Digest qop="auth"')

    def page_forbidden(self) -> None:
        self.answer(b"", 403)

    def page_fails(self) -> None:
        self.answer(b"", 500)

    def page_teapot(self) -> None:
        self.answer(b"", 418)


class Server(ThreadingHTTPServer):
    """On a free port of this machine, until it is closed."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is none."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def clock() -> SimpleClock:
    return SimpleClock(boot_ms=5_000, utc_ms=NOW * 1_000)


def channel(**more: Any) -> HttpChannel:
    fields: dict[str, Any] = {"device": "d", "meter": "m", "unit": "kW.h", "exponent": -3, "rate_max": 10}
    return HttpChannel(**(fields | more))


def settings(server: Server, page: str = "status", *channels: HttpChannel, **more: Any) -> HttpSettings:
    url = f"http://127.0.0.1:{server.server_port}/{page}"
    fields: dict[str, Any] = {"url": url, "channels": channels or (channel(path="energy.total"),)}
    return HttpSettings(**(fields | more))


async def read(told: HttpSettings, clock: SimpleClock | None = None) -> Sequence[Reading]:
    return await HttpSource(told, clock or SimpleClock(utc_ms=NOW * 1_000)).read()


async def down(told: HttpSettings) -> str:
    with pytest.raises(SourceDown) as caught:
        await read(told)
    return str(caught.value)


class TestNumbers:
    async def test_several_channels_come_from_one_json(self, server: Server, clock: SimpleClock) -> None:
        """P1: to the last printed digit."""
        told = settings(
            server,
            "status",
            channel(path="energy.total"),
            channel(meter="r", path="energy.returned[0]", unit="W.h", exponent=0, scale="1000"),
            channel(meter="s", path="on", unit="s", exponent=0, kind="state"),
        )
        found = await read(told, clock)
        assert [(reading.meter, reading.value, reading.at_ms) for reading in found] == [
            ("m", 12_345_678, 5_000),
            ("r", 1_500, 5_000),
            ("s", 1, 5_000),
        ]
        assert len(server.seen) == 1

    @pytest.mark.parametrize("page", ["chunked", "status?a=1"])
    async def test_however_it_is_sent(self, server: Server, page: str) -> None:
        assert [reading.value for reading in await read(settings(server, page))] == [12_345_678]

    async def test_a_page_may_be_the_number(self, server: Server) -> None:
        assert [reading.value for reading in await read(settings(server, "number", channel()))] == [42_500]

    async def test_prometheus_counters_stay_whole(self, server: Server) -> None:
        told = settings(
            server,
            "metrics",
            channel(device="a", metric='app_requests_total{tenant="a"}', unit="{request}", exponent=0),
            channel(device="b", metric='app_requests_total{tenant="b"}', unit="{request}", exponent=0),
            channel(device="eth0", metric='node_network_transmit_bytes_total{device="eth0"}', unit="By", exponent=0),
            channel(device="lo", metric='node_network_transmit_bytes_total{device="lo"}', unit="By", exponent=0),
        )
        found = await read(told)
        assert [(reading.device, reading.value) for reading in found] == [
            ("a", 9_007_199_254_740_991),
            ("b", 198_522_474),
            ("eth0", 288_549),
            ("lo", 7),
        ]
        assert [reading.generation for reading in found] == ["", "1.795165e+09", "", ""]

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            (channel(path="energy.totl"), "the response has no energy.totl"),
            (channel(path="energy"), "an object or a list is no number"),
            (channel(path="on"), "True is no number"),
            (channel(path="boot"), "'b-1' is no number"),
        ],
    )
    async def test_a_number_that_is_not_there_is_named_and_stops_no_other(
        self, server: Server, wrong: HttpChannel, sentence: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = await down(settings(server, "status", wrong))
        assert "d.m cannot be read from http://127.0.0.1" in said
        assert sentence in said
        found = await read(settings(server, "status", wrong, channel(meter="good", path="energy.total")))
        assert [reading.meter for reading in found] == ["good"]
        assert "event=device_silent source=http" in caplog.text

    @pytest.mark.parametrize(
        ("metric", "sentence"),
        [
            ("app_requests_total", "2 series are app_requests_total: name one by path or tenant"),
            ('app_requests_total{tenant="c"}', 'the response has no app_requests_total{tenant="c"}'),
            ("app_temperature_celsius", "'NaN' is no number"),
            ("app_broken", "the response has no app_broken"),
        ],
    )
    async def test_a_metric_must_be_one_series_with_a_number(self, server: Server, metric: str, sentence: str) -> None:
        assert sentence in await down(settings(server, "metrics", channel(metric=metric)))


class TestACounterBeginsAnew:
    async def test_the_page_says_by_a_word_when_it_does(self, server: Server) -> None:
        found = await read(settings(server, "status", channel(path="energy.total", generation="boot")))
        assert [reading.generation for reading in found] == ["b-1"]

    async def test_or_by_how_long_it_is_up(self, server: Server, clock: SimpleClock) -> None:
        """P4: a start that seems a few seconds later is the same one, also after the agent's own restart."""
        told = settings(server, "status", channel(path="energy.total", uptime="uptime"))
        (first,) = await read(told, clock)
        assert first.generation == f"up{NOW - 86_400}"
        again = HttpSource(told, clock)
        again.remember({ChannelName("d", "m"): first.generation})
        clock.advance(30_000)
        assert [reading.generation for reading in await again.read()] == [first.generation]
        clock.advance(3_600_000)
        assert [reading.generation for reading in await again.read()] == [f"up{NOW + 3_630 - 86_400}"]

    async def test_or_by_the_start_of_what_counts(self, server: Server) -> None:
        metric = 'app_requests_total{tenant="a"}'
        found = await read(
            settings(server, "metrics", channel(metric=metric, exponent=0, started="process_start_time_seconds"))
        )
        assert [reading.generation for reading in found] == ["up1795168000"]


class TestEveryFailureIsASentence:
    @pytest.mark.parametrize(
        ("page", "sentence"),
        [
            ("huge", "answers with more than 100000 bytes: name a smaller page, or set body_bytes_max higher"),
            ("headers", "does not answer in HTTP"),
            ("broken", "does not answer in HTTP"),
            ("short", "does not answer in HTTP"),
            ("silent", "does not answer in HTTP"),
            ("html", "answers with what cannot be read: '<html>Please log in</html>' is no JSON"),
            ("gzip", "answers in the encoding gzip, which nobody asked for"),
            ("moved", "redirects to https://elsewhere.example/status: set url to the address where it ends"),
            ("secret", "asks for authentication (Basic): give username and password_file, or token_file"),
            ("digest", "asks for digest authentication, which is not supported"),
            ("forbidden", "refuses (403)"),
            ("fails", "failed (500): look at that machine's own log"),
            ("teapot", "answers with status 418, not 200"),
            ("nowhere", "has no such page (404): check the path of url"),
        ],
    )
    async def test_of_what_the_server_does(self, server: Server, page: str, sentence: str) -> None:
        assert sentence in await down(settings(server, page, body_bytes_max=100_000))

    async def test_a_server_that_drips_is_left_in_time(self, server: Server) -> None:
        """P9: the whole response is bounded, not each byte's wait."""
        began = time.monotonic()
        assert "took longer than 0.5 s" in await down(settings(server, "drips", timeout_seconds=0.5))
        assert time.monotonic() - began < 2

    async def test_nobody_there_and_no_such_name(self, server: Server) -> None:
        assert "nothing listens at 127.0.0.1" in await down(settings(server, url=f"http://127.0.0.1:{free_port()}/"))
        assert "cannot be resolved" in await down(settings(server, url="http://no-such-host.invalid/"))

    async def test_http_on_an_https_url(self, server: Server) -> None:
        told = settings(server, url=f"https://127.0.0.1:{server.server_port}/status")
        assert "is this its https port, or is it http?" in await down(told)


class TestSecretsStandInFiles:
    async def test_a_password(self, server: Server, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text("right\n", encoding="ascii")
        found = await read(settings(server, "secret", username="meter", password_file=file))
        assert [reading.value for reading in found] == [12_345_678]
        file.write_text("wrong\n", encoding="ascii")
        assert "asks for authentication" in await down(settings(server, "secret", username="meter", password_file=file))

    async def test_a_token(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("right\n", encoding="ascii")
        assert await read(settings(server, "secret", token_file=tmp_path / "token"))

    @pytest.mark.parametrize("text", ["", "two\nlines", "\x00"])
    async def test_a_file_that_is_no_secret(self, server: Server, tmp_path: Path, text: str) -> None:
        (tmp_path / "token").write_text(text, encoding="ascii")
        assert "must hold one line" in await down(settings(server, "secret", token_file=tmp_path / "token"))
        assert "cannot be read" in await down(settings(server, "secret", token_file=tmp_path / "absent"))


class TestTls:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        """A certificate for site.example and 127.0.0.2, and its key."""
        openssl = require("openssl")
        names = "subjectAltName=DNS:site.example,IP:127.0.0.2"
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=site.example"),
                *("-addext", names, "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")),
            ],
            check=True,
            capture_output=True,
        )
        return tmp_path / "cert.pem", tmp_path / "key.pem"

    @pytest.fixture
    def secured(self, server: Server, pair: tuple[Path, Path]) -> Server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        return server

    async def test_a_certificate_that_nobody_knows_is_refused(self, secured: Server) -> None:
        """P10."""
        told = settings(secured, url=f"https://127.0.0.1:{secured.server_port}/status")
        assert re.search(r"is not trusted by the system \(.*\): name its ca_file", await down(told))

    async def test_a_certificate_for_another_name_is_refused(self, secured: Server, pair: tuple[Path, Path]) -> None:
        """P10."""
        told = settings(secured, url=f"https://127.0.0.1:{secured.server_port}/status", ca_file=pair[0])
        assert "is not for the name 127.0.0.1" in await down(told)

    async def test_its_own_is_read(self, secured: Server, pair: tuple[Path, Path], monkeypatch: Any) -> None:
        open_connection = asyncio.open_connection

        async def to_this_machine(host: str, port: int, **more: Any) -> Any:
            return await open_connection("127.0.0.1", port, server_hostname=host, **more)

        monkeypatch.setattr(asyncio, "open_connection", to_this_machine)
        told = settings(secured, url=f"https://site.example:{secured.server_port}/status", ca_file=pair[0])
        assert [reading.value for reading in await read(told)] == [12_345_678]

    async def test_a_ca_file_that_is_none(self, secured: Server, tmp_path: Path) -> None:
        url = f"https://127.0.0.1:{secured.server_port}/status"
        assert "cannot be used: No such file" in await down(settings(secured, url=url, ca_file=tmp_path / "absent"))
        (tmp_path / "ca.pem").write_text("no certificate", encoding="ascii")
        assert "cannot be used: it is no PEM" in await down(settings(secured, url=url, ca_file=tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"url": "ftp://x/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://x:99999/"}, "url"),
        ({"url": "http://x/a b"}, "url"),
        ({"url": "http://me:secret@x/"}, "url"),
        ({"timeout_seconds": 26.0}, "timeout_seconds"),
        ({"body_bytes_max": 0}, "body_bytes_max"),
        ({"username": "me"}, "password_file"),
        ({"username": "me", "password_file": Path("p"), "token_file": Path("t")}, "token_file"),
        ({"channels": ()}, "channels"),
        ({"channels": (channel(), channel())}, "channels"),
        ({"channels": (channel(path="a"), channel(meter="n", metric="b"))}, "channels"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_its_key(given: dict[str, Any], key: str) -> None:
    fields: dict[str, Any] = {"url": "http://x/", "channels": (channel(),)}
    with pytest.raises(InvalidSetting) as caught:
        HttpSettings(**(fields | given))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"path": "a..b"}, "path"),
        ({"metric": "a-b"}, "metric"),
        ({"metric": "a", "path": "b"}, "metric"),
        ({"metric": 'a{b="c}'}, "metric"),
        ({"metric": "a", "started": "b c"}, "started"),
        ({"path": "a", "uptime": "[x]"}, "uptime"),
        ({"path": "a", "uptime": "b", "generation": "c"}, "generation"),
        ({"kind": "pulse"}, "kind"),
        ({"scale": "0"}, "scale"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_by_its_key(given: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        channel(**given)
    assert caught.value.key == key


def test_the_how_to_is_metered() -> None:
    """Both examples as the agent reads them, from the address that they name."""
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "http-and-snmp.md"
    blocks = re.findall(r"^```toml\n(.*?)^```", how_to.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    told = [tomllib.loads(textwrap.dedent(block))["sources"][0] for block in blocks]
    web = [record(HttpSettings, each) for each in told if each["type"] == "http"]
    page_status, page_metrics = Handler.page_status, Handler.page_metrics
    setattr(Handler, "page_status.json", page_status)
    server = Server(8401)
    try:
        found = [reading for each in web for reading in asyncio.run(read(each))]
    finally:
        server.shutdown()
        server.server_close()
        delattr(Handler, "page_status.json")
    assert page_metrics is Handler.page_metrics
    assert {f"{reading.device}.{reading.meter}": reading.value for reading in found} == {
        "inverter.energy": 12_345_678,
        "inverter.energy_returned": 1_500,
        "tenant-a.requests": 9_007_199_254_740_991,
        "uplink.data_up": 288_549,
    }
