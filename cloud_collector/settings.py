"""What the collector may be told, as plain values with their defaults and units; read from TOML by `config`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cloud_collector.limits import BATCH_MESSAGES_MAX
from shared.effects.broker import BrokerSettings
from shared.errors import InvalidRecord
from shared.topic import GROUP, PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Where the pages, health and metrics are served; without a host, nowhere."""

    host: str = ""
    """An address to listen on, such as 127.0.0.1."""
    port: int = 8080
    local_operator: bool = True
    """While `url` is empty: whoever opens the pages on this very machine, through no proxy, is its operator."""
    url: str = ""
    """Where people find the pages, such as https://meter.example; links in e-mails begin with it."""
    proxies: str = "127.0.0.1"
    """Whose word on the address of who asks is believed: addresses and networks, with commas between."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidRecord(f"port is {self.port}, not from 0 to 65535")
        if self.url and not self.url.startswith(("https://", "http://")):
            raise InvalidRecord(f"web.url is {self.url[:48]!r}: it begins with https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """How people sign in: by links, for which `mail` and `web.url` are set, and by an OpenID provider."""

    link_minutes: int = 15
    """How long a link in an e-mail works."""
    idle_hours: int = 24
    """A session that is not used for so long is over …"""
    session_days: int = 30
    """… and any session after this time."""
    oidc_issuer: str = ""
    """The OpenID provider's address, as it names itself; empty: none."""
    oidc_name: str = ""
    """What people call it; empty: its host."""
    oidc_client_id: str = ""
    oidc_secret_file: Path | None = None
    """The client's secret, in a file of one line; none for a public client."""

    def __post_init__(self) -> None:
        for name in ("link_minutes", "idle_hours", "session_days"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise InvalidRecord(f"sign_in.{name} is {getattr(self, name)}, not from 1 to 10,000")
        if self.oidc_issuer and not self.oidc_client_id:
            raise InvalidRecord("sign_in.oidc_client_id is empty: the provider gives it where you register this site")
        local = self.oidc_issuer.startswith(("http://127.0.0.1:", "http://localhost:"))
        if self.oidc_issuer and not local and not self.oidc_issuer.startswith("https://"):
            raise InvalidRecord(f"sign_in.oidc_issuer is {self.oidc_issuer[:48]!r}: it begins with https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """Where gateways enrol and renew their certificates, and what they are told; without a host, nowhere."""

    host: str = ""
    """An address to listen on, such as 0.0.0.0: HTTPS, with a certificate of the CA in `pki_path`."""
    port: int = 8843
    url: str = ""
    """What an installer types; without it, `port` at the first host of the broker's certificate."""
    broker_host: str = ""
    """The broker's name for gateways; without it, the first host of its certificate."""
    broker_port: int = 0
    """The broker's port for gateways; 0: the collector's own where that is TLS, else 8883."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidRecord(f"port is {self.port}, not from 0 to 65535")
        if not 0 <= self.broker_port <= 65535:
            raise InvalidRecord(f"broker_port is {self.broker_port}, not from 0 to 65535")
        if self.url and not self.url.startswith("https://"):
            raise InvalidRecord(f"url is {self.url[:48]!r}: it begins with https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSettings:
    """How invoices are printed."""

    fonts_path: Path | None = None
    """A folder of fonts with letters that Typst's own fonts lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingSettings:
    """Who approves what is issued, and from which difference on a person should look."""

    approval: str = "none"
    """`none`: what is due is issued at once; `one` person approves it first; `two`: another one than drafted it;
    `people`: another one, and signed in."""
    outlier_percent: int = 20
    """An outlier differs from the last period by at least this share of it …"""
    outlier_amount: int = 10
    """… and by at least so many whole units of the currency."""

    def __post_init__(self) -> None:
        if self.approval not in ("none", "one", "two", "people"):
            raise InvalidRecord(f"billing.approval is {self.approval[:32]!r}, not none, one, two or people")
        for name in ("outlier_percent", "outlier_amount"):
            if getattr(self, name) < 0:
                raise InvalidRecord(f"billing.{name} must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The server that takes the operator's e-mail; without a host, none is sent."""

    host: str = ""
    port: int = 587
    tls: str = "starttls"
    """`starttls`, `tls` from the first byte (port 465), or `none` for a server on this machine."""
    sender: str = ""
    """The address that invoices come from."""
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    """Whom to trust; without it, the system's authorities."""
    timeout_seconds: int = 30

    def __post_init__(self) -> None:
        if self.tls not in ("starttls", "tls", "none"):
            raise InvalidRecord(f"mail.tls is {self.tls[:32]!r}, not starttls, tls or none")
        if not 1 <= self.port <= 65535:
            raise InvalidRecord(f"mail.port is {self.port}, not from 1 to 65535")
        if self.timeout_seconds < 1:
            raise InvalidRecord("mail.timeout_seconds must be at least 1")
        if self.host and "@" not in self.sender:
            raise InvalidRecord("mail.sender must be an e-mail address where mail.host is set")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatevSettings:
    """Whose books a DATEV file is for, and the accounts in them; all of it comes from the tax adviser."""

    consultant: int = 0
    """The adviser's number (Beraternummer)."""
    client: int = 0
    """The client's number (Mandantennummer)."""
    year_begins: str = "01-01"
    """The first day of the fiscal year, MM-DD."""
    account_digits: int = 4
    """Digits of a general ledger account (Sachkontenlänge)."""
    receivable: str = ""
    """The account that customers' debts stand on, where `debtors` names none."""
    debtors: Mapping[str, str] = field(default_factory=dict)
    """By account of the catalog: the customer's own account (Debitor)."""
    revenue: Mapping[str, str] = field(default_factory=dict)
    """By tax: the account of the revenue, `S19` for category S at 19 %, `-` for what bears no tax."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSettings:
    """Where backups lie, and how many of them."""

    path: Path | None = None
    """A folder, best on another disk; without it, `backups` beside the store."""
    keep: int = 14
    """How many `backup create` leaves there, the newest; 0 keeps all."""
    before_upgrade: bool = True
    """Whether the store is copied before a newer version of the program changes its schema."""

    def __post_init__(self) -> None:
        if self.keep < 0:
            raise InvalidRecord("backup.keep must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSettings:
    """When something is wrong, and who is told."""

    look_seconds: int = 60
    """How often it is looked; 0: never."""
    silent_windows: int = 3
    """A gateway is silent, and a meter dead, after so many of its windows without a word."""
    silent_seconds_min: int = 300
    """But never before this time."""
    broker_seconds: int = 60
    """How long the broker may be away."""
    hole_seconds: int = 600
    """How long lines may be missing, and a clock wrong."""
    behind_seconds: int = 3_600
    """From here on a clock that runs behind is one that lies."""
    mail_to: str = ""
    """Who is told by e-mail, several with commas between; empty: nobody. It needs mail.host."""

    def __post_init__(self) -> None:
        for name in ("look_seconds", "silent_seconds_min", "broker_seconds", "hole_seconds", "behind_seconds"):
            if getattr(self, name) < 0:
                raise InvalidRecord(f"alarms.{name} must not be negative")
        if not 1 <= self.silent_windows <= 1_000:
            raise InvalidRecord(f"alarms.silent_windows is {self.silent_windows}, not from 1 to 1,000")

    @property
    def recipients(self) -> tuple[str, ...]:
        """Each address of `mail_to`."""
        return tuple(address.strip() for address in self.mail_to.split(",") if address.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """Everything that `Collector` needs besides its effects and its key."""

    prefix: str = PREFIX
    shared_subscription: bool = False
    """Several collectors take turns on `$share/collectors/…`."""
    shared_group: str = GROUP
    """`collectors`, or `secret`: a name that only who has the receipt key can say, so that no gateway joins it."""
    batch_messages: int = BATCH_MESSAGES_MAX
    """Messages in one transaction, at most."""
    batch_milliseconds: int = 50
    """How long a batch waits for more."""
    clock_skew_seconds: int = 300
    """A line that ends later than this after its receipt is moved back to it (P13)."""
    holes_seconds: int = 60
    """Receipts of logs with holes are published again after this time."""
    tick_seconds: int = 10
    """How often `run` calls `Collector.tick`."""
    keep_unassigned_days: int = 0
    """How long the detail of channels that no contract has is kept; 0: for ever, as that of accounts without
    `keep_detail`."""
    reconnect_seconds_min: float = 1.0
    reconnect_seconds_max: float = 60.0
    """Bounds of the exponential backoff, before full jitter."""
    rates_max: Mapping[str, int] = field(default_factory=dict)
    """Whole units a second, by UCUM unit, above which usage between two epochs is not believed; adds to the
    defaults of `cloud_collector.usage.between.RATES_MAX`."""
    store_path: Path = Path("/var/lib/meterseal/collector.db")
    store: str = ""
    """`postgresql://HOST/DATABASE`, where several collectors share a store; without it, SQLite at `store_path`."""
    key_file: Path = Path("/var/lib/meterseal/receipt-key.pem")
    """The operator's receipt key (PEM, PKCS #8)."""
    archive_path: Path | None = None
    """The append-only folder of issued invoices; without it, `invoices` beside the store."""
    webhooks_path: Path | None = None
    """The folder of webhooks' secrets; without it, `webhooks` beside the store."""
    ingest_path: Path | None = None
    """The folder of the keys of logs of events; without it, `ingest` beside `key_file`."""
    pki_path: Path = Path("/var/lib/meterseal/pki")
    """The folder of the certificate authority, made by `cloud-collector pki init`."""
    client_id: str = "_collector"
    """The broker keeps the session's queue under this name."""
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    web: WebSettings = field(default_factory=WebSettings)
    sign_in: SignInSettings = field(default_factory=SignInSettings)
    enrolment: EnrolmentSettings = field(default_factory=EnrolmentSettings)
    documents: DocumentSettings = field(default_factory=DocumentSettings)
    billing: BillingSettings = field(default_factory=BillingSettings)
    mail: MailSettings = field(default_factory=MailSettings)
    datev: DatevSettings = field(default_factory=DatevSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)

    def __post_init__(self) -> None:
        if not 1 <= self.batch_messages <= BATCH_MESSAGES_MAX:
            raise InvalidRecord(f"batch_messages is {self.batch_messages}, not from 1 to {BATCH_MESSAGES_MAX}")
        if not 0 < self.reconnect_seconds_min <= self.reconnect_seconds_max:
            raise InvalidRecord("reconnect_seconds_min must be above 0 and not above reconnect_seconds_max")
        _require_store(self.store)
        if self.sign_in.oidc_issuer and not self.web.url:
            raise InvalidRecord("sign_in.oidc_issuer is set and web.url is not: the provider sends people back there")
        if self.shared_group not in (GROUP, "secret"):
            raise InvalidRecord(f"shared_group is {self.shared_group[:32]!r}, not {GROUP} or secret")
        for name in ("batch_milliseconds", "clock_skew_seconds", "keep_unassigned_days"):
            if getattr(self, name) < 0:
                raise InvalidRecord(f"{name} must not be negative")
        for name in ("holes_seconds", "tick_seconds"):
            if getattr(self, name) < 1:
                raise InvalidRecord(f"{name} must be at least 1")


def _require_store(url: str) -> None:
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise InvalidRecord(
            f"store is {url[:48]!r}: a PostgreSQL is named postgresql://HOST/DATABASE, a file of SQLite by store_path"
        )
    try:
        told = urlsplit(url)
    except ValueError as error:
        raise InvalidRecord(f"store cannot be read as a URL: {error}") from error
    if told.password is not None or "password" in parse_qs(told.query):
        raise InvalidRecord(
            "store names a password: put it into a file of one line, HOST:PORT:DATABASE:USER:PASSWORD, "
            "and name that at the URL's end: ?passfile=/etc/meterseal/postgres.pass"
        )
