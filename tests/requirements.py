"""Components that a machine may lack: tests that need one are skipped and listed, or fail where it is required.

`METERSEAL_REQUIRE=mosquitto,openssl` turns each of these skips into a failure.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

MARK: Final = "component absent: "
"""How a skip for a missing component begins; `tests/conftest.py` lists them at the end of the run."""
_PLACES: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"))


def _command(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name, path=_PLACES) is not None


def _module(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


def _postgres() -> str | None:
    """The newest PostgreSQL server from Debian's folders or the PATH, 15 or newer; Debian keeps it off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if places and int(places[-1].parts[-3]) >= 15:
        return str(places[-1])
    return shutil.which("postgres", path=_PLACES)


def _gpio_sim() -> bool:
    """Whether chips of GPIO lines can be simulated here: the kernel's module is loaded and this user is root."""
    return os.access("/sys/kernel/config/gpio-sim", os.W_OK) and importlib.util.find_spec("lgpio") is not None


COMPONENTS: Final[dict[str, Callable[[], bool]]] = {
    "amqtt": _module("amqtt"),
    "chromium": _command("chromium"),
    "gpio-sim": _gpio_sim,
    "mosquitto": _command("mosquitto"),
    "mosquitto_passwd": _command("mosquitto_passwd"),
    "mosquitto_pub": _command("mosquitto_pub"),
    "mosquitto_sub": _command("mosquitto_sub"),
    "openssl": _command("openssl"),
    "pg_dump": _command("pg_dump"),
    "playwright": _module("playwright"),
    "postgres": lambda: _postgres() is not None,
    "prometheus": _command("prometheus"),
    "promtool": _command("promtool"),
    "snmpd": _command("snmpd"),
    "systemd-analyze": _command("systemd-analyze"),
}


def require(component: str) -> str:
    """The component's path or name; skips the test where it is absent, fails it where it must not be."""
    if not COMPONENTS[component]():
        if component in os.environ.get("METERSEAL_REQUIRE", "").replace(" ", "").split(","):
            pytest.fail(f"METERSEAL_REQUIRE names {component}, which this machine does not have", pytrace=False)
        pytest.skip(f"{MARK}{component}")
    if component == "postgres":
        return _postgres() or component
    return shutil.which(component, path=_PLACES) or component
