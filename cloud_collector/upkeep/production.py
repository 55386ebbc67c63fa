"""A whole production set-up as text: what `config init` writes, from the examples that travel with the program.

Pure but for reading those. Everything fits together: the broker's files lie where the units bring them, the units run
as the user that the commands run as, and what is secret is drawn or made on the machine, never written down here.
"""

import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

import shared
from shared.errors import InvalidRecord

STATE: Final = "/var/lib/meterseal-collector"
BACKUPS: Final = "/var/backups/meterseal"
LOCAL_POSTGRES: Final = "postgresql:///meterseal?host=/run/postgresql&user=meterseal"
"""A server on this machine that knows its users by the system's names: without any password."""
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|[0-9a-f:]+")
_TEMPLATES: Final = "README.md compose.yaml env grafana-provisioning.yaml".split()
_UNITS: Final = (
    "cloud-collector-pki.service cloud-collector-pki.timer meterseal-broker.path meterseal-broker.service "
    "meterseal-renewed.path meterseal-renewed.service sysusers.conf"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a site chooses."""

    hosts: tuple[str, ...]
    """Names and addresses under which gateways reach this machine; the first is what certificates are known by."""
    store: str = ""
    """`postgresql://…`, or nothing for SQLite."""
    uid: int = 1000
    """Who runs the containers, where the compose file is used."""

    def __post_init__(self) -> None:
        if not self.hosts:
            raise InvalidRecord("name the host as gateways will call it, such as collector.example")
        for host in self.hosts:
            if HOST.fullmatch(host) is None:
                raise InvalidRecord(f"{host[:64]!r} is no host: a name in lower case, or an address")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file of the set-up, by its path below the folder."""

    name: str
    text: str
    mode: int = PUBLIC


def set_up(chosen: Chosen, *, postgres_password: str, grafana_password: str) -> list[Written]:
    """Every file; the passwords are for the compose file's services alone and were drawn by the caller."""
    host = chosen.hosts[0]
    values = {
        "host": host,
        "hosts": " ".join(f"--host {each}" for each in chosen.hosts),
        "state": STATE,
        "backups": BACKUPS,
        "uid": str(chosen.uid),
    }
    made = {name: Template(_own(name)).substitute(values) for name in (*_TEMPLATES, *_UNITS)}
    readme = _chosen_parts(made["README.md"], postgres=bool(chosen.store))
    return [
        Written(name="README.md", text=readme),
        Written(name="collector.toml", text=_collector(chosen)),
        Written(name="catalog.toml", text=example("catalog.toml")),
        Written(name="mosquitto/mosquitto.conf", text=_mosquitto()),
        Written(name="mosquitto/meterseal.acl", text=example("mosquitto/meterseal.acl")),
        Written(name="systemd/cloud-collector.service", text=_collector_unit()),
        Written(name="systemd/cloud-collector-backup.service", text=_backup_unit(chosen)),
        Written(name="systemd/cloud-collector-backup.timer", text=example("systemd/cloud-collector-backup.timer")),
        *(Written(name=f"systemd/{name}", text=made[name]) for name in _UNITS if name != "sysusers.conf"),
        Written(name="sysusers.d/meterseal.conf", text=made["sysusers.conf"]),
        Written(name="prometheus/prometheus.yml", text=example("prometheus/prometheus.yml")),
        Written(name="prometheus/meterseal-alerts.yml", text=example("prometheus/meterseal-alerts.yml")),
        Written(name="grafana/meterseal.json", text=example("grafana/meterseal.json")),
        Written(name="grafana/provisioning.yaml", text=made["grafana-provisioning.yaml"]),
        Written(name="compose.yaml", text=made["compose.yaml"]),
        Written(name=".env", text=made["env"]),
        Written(name="secrets/postgres-password", text=postgres_password, mode=PRIVATE),
        Written(name="secrets/pgpass", text=f"postgres:5432:meterseal:meterseal:{postgres_password}\n", mode=PRIVATE),
        Written(name="secrets/grafana-password", text=grafana_password, mode=PRIVATE),
    ]


def example(name: str) -> str:
    """The text of an example in `config/`, which the wheel has in `shared` and a copy of the source beside it."""
    root: Traversable = resources.files("shared").joinpath("examples")
    if not root.is_dir():
        root = Path(shared.__file__).parents[1] / "config"
    return root.joinpath(*name.split("/")).read_text(encoding="utf-8")


def _own(name: str) -> str:
    return (
        resources.files("cloud_collector.upkeep").joinpath("production_files", f"{name}.in").read_text(encoding="utf-8")
    )


def _changed(text: str, *pairs: tuple[str, str]) -> str:
    """Each of these stood there once, and something else does now: a changed example breaks a test, not a site."""
    for old, new in pairs:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the example"
        text = text.replace(old, new)
    return text


def _collector(chosen: Chosen) -> str:
    host = chosen.hosts[0]
    text = _changed(
        example("collector.toml"),
        ('#store_path = "/var/lib/meterseal/collector.db"', f'store_path = "{STATE}/collector.db"'),
        ('#key_file = "/var/lib/meterseal/receipt-key.pem"', f'key_file = "{STATE}/receipt-key.pem"'),
        ('#pki_path = "/var/lib/meterseal/pki"', f'pki_path = "{STATE}/pki"'),
        ('#shared_group = "collectors"', 'shared_group = "secret"'),
        ('#host = "localhost"', f'host = "{host}"'),
        ('#ca_file = "/etc/meterseal/ca.pem"', f'ca_file = "{STATE}/pki/ca.pem"'),
        ('#cert_file = "/etc/meterseal/collector.pem"', f'cert_file = "{STATE}/pki/_collector.pem"'),
        ('#key_file = "/etc/meterseal/collector.key"', f'key_file = "{STATE}/pki/_collector.key"'),
        ('#host = ""\n#port = 8080', 'host = "127.0.0.1"\nport = 8080'),
        ('#host = ""\n#port = 8843', 'host = "0.0.0.0"\nport = 8843'),
        ('#url = "https://collector.example:8843"', f'url = "https://{_url_host(host)}:8843"'),
        ('#broker_host = "broker.example"', f'broker_host = "{host}"'),
        ('#path = "/mnt/backup/meterseal"', f'path = "{BACKUPS}"'),
    )
    return _changed(text, ('#store = ""', f'store = "{chosen.store}"')) if chosen.store else text


def _url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _mosquitto() -> str:
    text = example("mosquitto/mosquitto-tls.conf").replace("/var/lib/meterseal/pki/", "/etc/mosquitto/meterseal/")
    return _changed(
        text,
        (
            (
                "writes these files; broker.key must be readable by Mosquitto:\n"
                "# sudo chown mosquitto: /etc/mosquitto/meterseal/broker.key\n"
            ),
            "makes these files, meterseal-broker.service copies them here.\n",
        ),
    )


_USER: Final = "User=meterseal\nGroup=meterseal\n"
_KEYS: Final = re.compile(
    r"# The receipt key and the broker's password stay.*?(?=DynamicUser)DynamicUser=yes\nUser=meterseal-collector\n",
    re.DOTALL,
)


def _collector_unit() -> str:
    text, count = _KEYS.subn(
        "# The user of sysusers.d/meterseal.conf, as whom the operator's commands run too: sudo -u meterseal …\n"
        f"{_USER}ReadWritePaths=-{BACKUPS}\n",
        example("systemd/cloud-collector.service"),
    )
    assert count == 1, "the unit reads otherwise"
    return _changed(
        text,
        (
            "After=network-online.target mosquitto.service",
            "After=network-online.target mosquitto.service postgresql.service",
        ),
    )


_DUMP: Final = (
    "ExecStart=/bin/sh -ec 'file={backups}/$$(date -u +%%Y-%%m-%%dT%%H-%%M-%%SZ).dump; "
    'pg_dump --format=custom --file="$$file.part" --dbname="{store}"; pg_restore --list "$$file.part" >/dev/null; '
    'mv "$$file.part" "$$file"; ls -1 {backups}/*Z.dump | head -n -14 | xargs -r rm --'
    "'"
)


def _backup_unit(chosen: Chosen) -> str:
    text = _changed(
        example("systemd/cloud-collector-backup.service"),
        ("DynamicUser=yes\nUser=meterseal-collector\n", f"{_USER}ReadWritePaths={BACKUPS}\n"),
        ("Environment=METERSEAL_COLLECTOR__STORE_PATH=%S/meterseal-collector/collector.db\n", ""),
    )
    if chosen.store:
        text = _changed(
            text,
            (
                "ExecStart=/usr/bin/cloud-collector backup create --config /etc/meterseal/collector.toml",
                "# A dump that pg_restore could not read never gets its name; the newest 14 are left.\n"
                + _DUMP.format(backups=BACKUPS, store=chosen.store.replace("%", "%%")),
            ),
        )
        if not chosen.store.startswith("postgresql:///"):
            text = _changed(text, ("PrivateNetwork=yes\n", ""))
    return text


def _chosen_parts(text: str, *, postgres: bool) -> str:
    """Without what is for the other engine: from `<!-- postgres -->` or `<!-- sqlite -->` to `<!-- both -->`."""
    gone = "sqlite" if postgres else "postgres"
    text = re.sub(rf"<!-- {gone} -->\n.*?<!-- both -->\n", "", text, flags=re.DOTALL)
    return re.sub(r"<!-- \w+ -->\n", "", text)
