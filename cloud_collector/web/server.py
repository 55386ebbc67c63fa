"""Serves the pages beside the collector, in its loop, for as long as it runs."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvicorn
from starlette.concurrency import run_in_threadpool

from cloud_collector.access.sessions import Lasting
from cloud_collector.billing.approval import Approval
from cloud_collector.billing.archive import FolderArchive
from cloud_collector.billing.compare import Thresholds
from cloud_collector.billing.revisions import NoCatalog, revisions
from cloud_collector.billing.run import Biller
from cloud_collector.collector import Collector
from cloud_collector.fleet.authority import Authority
from cloud_collector.fleet.desk import Desk
from cloud_collector.fleet.pki import ENROLMENT, PUBLIC, Pki, PkiUnusable
from cloud_collector.insight.prepare import prepare
from cloud_collector.limits import ENROLMENT_CONNECTIONS_MAX, WEB_CONNECTIONS_MAX
from cloud_collector.notify.post import smtp
from cloud_collector.settings import CollectorSettings
from cloud_collector.store.place import is_there, open_database
from cloud_collector.store.store import Store
from cloud_collector.store.view import StoreView
from cloud_collector.upkeep.surroundings import surroundings
from cloud_collector.web.app import create_app
from cloud_collector.web.door import HOUR_MS, Door, Provider
from cloud_collector.web.enrolment import create_enrolment_app
from cloud_collector.web.metrics import registry
from cloud_collector.web.office import Office
from cloud_collector.web.site import KeepSecret, Site
from cloud_collector.web.subscriptions import subscriptions
from shared.effects.clock import Clock
from shared.errors import MetersealError
from shared.key import PublicKey

_log: Final = logging.getLogger(__name__)
RELOAD_SECONDS: Final = 300
PREPARE_SECONDS: Final = 5
"""So soon after a catalog was applied its indexes are made."""
REMIND_SECONDS: Final = 86_400


class WebRefused(MetersealError):
    """The pages cannot be served where the configuration says."""


@asynccontextmanager
async def serving(
    settings: CollectorSettings,
    collector: Collector,
    clock: Clock,
    key: PublicKey,
    biller: Biller | None = None,
    keep_secret: KeepSecret | None = None,
) -> AsyncIterator[None]:
    """Within, the pages are served where the settings say; without a host, nothing is. Raises WebRefused."""
    if not settings.web.host:
        yield
        return

    @contextmanager
    def open_store() -> Iterator[Store]:
        with _reading(settings) as store:
            yield store

    app = create_app(
        Site(
            open_store=open_store,
            clock=clock,
            zone=_zone,
            subscriptions=lambda store, now: subscriptions(store, StoreView(store), now),
            key_words=key.words,
            key=key,
            readiness=lambda: {"store": is_there(settings), "broker": collector.connected},
            metrics=registry(collector, open_store, lambda: surroundings(settings)),
            open_writer=lambda: _writing(settings),
            # A proxy that adds no header looks like this machine: with an address for everybody, nobody is local.
            local_operator=settings.web.local_operator and not settings.web.url,
            door=_door(settings),
            office=_office(settings, key, biller),
            keep_secret=keep_secret,
        )
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        server_header=False,
        forwarded_allow_ips=settings.web.proxies,
        limit_concurrency=WEB_CONNECTIONS_MAX,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[_listening(settings.web.host, settings.web.port, "web", "pages")]))
    _log.info("event=web_started address=http://%s:%d/", settings.web.host, settings.web.port)
    preparing = asyncio.create_task(_preparing(settings, clock))
    try:
        yield
    finally:
        preparing.cancel()
        # A stream of events would keep the server for as long as somebody listens.
        app.state.pulse.close()
        server.should_exit = True
        await task


async def _preparing(settings: CollectorSettings, clock: Clock) -> None:
    """Whoever opens the first page after a catalog was applied does not wait for its indexes."""

    def prepared() -> None:
        # Whoever opens a page is told why there is none.
        with suppress(MetersealError), _reading(settings) as store:
            prepare(store)

    while True:
        try:
            await run_in_threadpool(prepared)
        except Exception:  # noqa: BLE001
            # The one broad except of this task: the pages make what they need by themselves.
            _log.exception("event=pages_not_prepared")
        await clock.sleep(PREPARE_SECONDS)


@asynccontextmanager
async def enrolling(settings: CollectorSettings, desk: Desk | None, clock: Clock) -> AsyncIterator[None]:
    """Within, gateways can enrol and renew where the settings say; without a desk, nowhere. Raises WebRefused."""
    if desk is None:
        yield
        return

    told = settings.enrolment
    certificate, key = (settings.pki_path / f"{ENROLMENT}.{suffix}" for suffix in ("pem", "key"))
    config = uvicorn.Config(
        create_enrolment_app(desk, lambda: _writing(settings), clock),
        log_level="warning",
        lifespan="off",
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_keep_alive=5,
        limit_concurrency=ENROLMENT_CONNECTIONS_MAX,
    )
    try:
        config.load()
    except OSError as error:
        raise WebRefused(
            f"the certificate {certificate} cannot be used: {error.strerror or error}; "
            "`cloud-collector pki renew` makes it"
        ) from error
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[_listening(told.host, told.port, "enrolment", "enrolment")]))
    renewing = [
        asyncio.create_task(_reload(config, certificate, key)),
        asyncio.create_task(_remind(settings, desk.authority, clock)),
    ]
    _log.info("event=enrolment_started address=https://%s:%d/", told.host, told.port)
    try:
        yield
    finally:
        for each in renewing:
            each.cancel()
        server.should_exit = True
        await task


async def _reload(config: uvicorn.Config, certificate: Path, key: Path) -> None:
    """A renewed certificate is shown from the next connection on."""
    while config.ssl is not None:
        await asyncio.sleep(RELOAD_SECONDS)
        try:
            config.ssl.load_cert_chain(certificate, key)
        except OSError as error:
            _log.warning('event=enrolment_certificate_unusable why="%s"', error)


async def _remind(settings: CollectorSettings, authority: Authority, clock: Clock) -> None:
    """Once a day it is said which certificates are due: one that nobody renews takes the whole fleet off the air."""
    pki = Pki(settings.pki_path, authority)
    while True:
        now = datetime.fromtimestamp(clock.utc_ms() // 1_000, UTC)
        try:
            due = [each.name for each in pki.renewals(settings.client_id, now) if each.mode == PUBLIC]
        except PkiUnusable as error:
            due = [str(error)]
        if due:
            _log.warning('event=certificates_due files="%s" do="cloud-collector pki renew"', ", ".join(due))
        await asyncio.sleep(REMIND_SECONDS)


def _listening(host: str, port: int, table: str, what: str) -> socket.socket:
    """Taken here: uvicorn would end the process over a taken port, and say why only in a traceback."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        raise WebRefused(
            f"{what} cannot be served at {host}:{port}: {reason}; see {table}.host and {table}.port"
        ) from error


class _Server(uvicorn.Server):
    """Leaves the signals to the command that runs the collector."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _door(settings: CollectorSettings) -> Door:
    """How people come in, as the settings say; raises WebRefused."""
    told, mail = settings.sign_in, settings.mail
    try:
        password = None if mail.password_file is None else mail.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WebRefused(f"mail.password_file {mail.password_file} cannot be read: {error}") from error
    return Door(
        url=settings.web.url,
        post=smtp(mail, password) if mail.host else None,
        sender=mail.sender,
        link_minutes=told.link_minutes,
        lasting=Lasting(idle_ms=told.idle_hours * HOUR_MS, whole_ms=told.session_days * 24 * HOUR_MS),
        provider=_provider(settings) if told.oidc_issuer else None,
    )


def _provider(settings: CollectorSettings) -> Provider:
    """Who else may say who somebody is; raises WebRefused."""
    told = settings.sign_in
    try:
        from cloud_collector.web.oidc import OpenIdProvider  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise WebRefused(f"sign_in.oidc_issuer needs {error.name}: pip install 'meterseal[oidc]'") from error
    try:
        path = told.oidc_secret_file
        secret = None if path is None else path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WebRefused(f"sign_in.oidc_secret_file {told.oidc_secret_file} cannot be read: {error}") from error
    return OpenIdProvider(
        issuer=told.oidc_issuer,
        client_id=told.oidc_client_id,
        secret=secret,
        back=f"{settings.web.url.rstrip('/')}/sign-in/provider/back",
        called=told.oidc_name,
    )


def _office(settings: CollectorSettings, key: PublicKey, biller: Biller | None) -> Office:
    return Office(
        archive=FolderArchive(settings.archive_path or settings.store_path.with_name("invoices")),
        key=key,
        fonts=settings.documents.fonts_path,
        biller=biller,
        approval=Approval(settings.billing.approval),
        thresholds=Thresholds(share_percent=settings.billing.outlier_percent, amount=settings.billing.outlier_amount),
    )


@contextmanager
def _reading(settings: CollectorSettings) -> Iterator[Store]:
    store = Store(open_database(settings, read_only=True), migrated=True)
    try:
        # A page speaks of one instant, whatever collectors commit beside it.
        with store.snapshot():
            yield store
    finally:
        store.close()


@contextmanager
def _writing(settings: CollectorSettings) -> Iterator[Store]:
    store = Store(open_database(settings), migrated=True)
    try:
        yield store
    finally:
        store.close()


def _zone(store: Store) -> str:
    try:
        return revisions(store)[-1].catalog.operator.timezone
    except NoCatalog:
        return "UTC"
