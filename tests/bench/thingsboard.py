"""thingsboard-gateway from PyPI as another program would run it, and the least server that it talks to.

It is installed into an environment of its own. It sends nothing before a server has answered its question
for limits; the answer here is that there are none.
"""

import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.processes import ROOT, Process

PACKAGES: Final = ("thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio")
"""The second is what its Modbus connector installs at its first start."""
PLACE: Final = ROOT / ".make" / "thingsboard"
_UNLIMITED: Final = {"messages": "0:0", "telemetryMessages": "0:0", "telemetryDataPoints": "0:0"}


def installed() -> bool:
    """Whether it is there, or could be fetched now."""
    if not (PLACE / "done").exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        for command in ([sys.executable, "-m", "venv", PLACE], [PLACE / "bin/pip", "install", "-q", *PACKAGES]):
            if subprocess.run(list(map(str, command)), capture_output=True, check=False).returncode:
                return False
        (PLACE / "done").touch()
    return True


class ThingsBoard:
    """One gateway with a folder of its own; `storage` is what it calls the kind of its queue."""

    def __init__(self, name: str, storage: str, folder: Path, broker_port: int) -> None:
        self.name = name
        self._folder = folder / name
        shutil.copytree(next(PLACE.glob("lib/python*/site-packages/thingsboard_gateway/config")), self._folder)
        (self._folder / "logs").mkdir()
        whole = json.loads((self._folder / "tb_gateway.json").read_text(encoding="utf-8"))
        whole["thingsboard"] |= {
            "host": "127.0.0.1",
            "port": broker_port,
            "remoteConfiguration": False,
            "security": {"type": "accessToken", "accessToken": name},
        }
        whole["thingsboard"]["statistics"]["enable"] = False
        whole["storage"] |= {"type": storage, "data_file_path": f"{self._folder}/data/"}
        self._whole: dict[str, Any] = whole
        self._write("tb_gateway.json", whole)
        run = "import os, sys; os.chdir(sys.argv.pop()); from thingsboard_gateway.tb_gateway import daemon; daemon()"
        program = [str(PLACE / "bin/python"), "-c", run, str(self._folder)]
        environment = ["env", f"TB_GW_CONFIG_DIR={self._folder}"]
        self.process = Process(name, [*environment, *program], folder / f"{name}.log")

    def reads(self, port: int, unit: int, channels: int, *, poll_ms: int) -> None:
        """From its next start on it reads the counters of a Modbus unit."""
        tags = [
            {"tag": f"c{at}", "type": "32uint", "functionCode": 4, "objectsCount": 2, "address": 2 * at}
            for at in range(channels)
        ]
        device = {
            "host": "127.0.0.1",
            "port": port,
            "type": "tcp",
            "method": "socket",
            "unitId": unit,
            "deviceName": self.name,
            "deviceType": "default",
            "timeout": 5,
            "byteOrder": "BIG",
            "wordOrder": "BIG",
            "retries": 3,
            "pollPeriod": poll_ms,
            "connectAttemptTimeMs": 1_000,
            "connectAttemptCount": 5,
            "waitAfterFailedAttemptsMs": 1_000,
            "attributes": [],
            "timeseries": tags,
            "attributeUpdates": [],
            "rpc": [],
        }
        self._write("modbus.json", {"master": {"slaves": [device]}})
        self._whole["connectors"] = [{"type": "modbus", "name": "Modbus", "configuration": "modbus.json"}]
        self._write("tb_gateway.json", self._whole)

    def _write(self, name: str, content: object) -> None:
        (self._folder / name).write_text(json.dumps(content), encoding="utf-8")


class Server:
    """Counts the readings that arrive, by device; its session outlives the broker's restarts."""

    def __init__(self, broker_port: int) -> None:
        self.readings: Counter[str] = Counter()
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="server", clean_session=False)
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker_port)
        self._client.loop_start()
        assert self._ready.wait(10), "the broker does not answer"

    def close(self) -> None:
        """Nothing is counted any more."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("v1/#", 1)
        self._ready.set()

    def _message(self, client: mqtt.Client, _: object, message: mqtt.MQTTMessage) -> None:
        if "/rpc/request/" in message.topic:
            answer: dict[str, object] = {"maxPayloadSize": 65_536, "maxInflightMessages": 100}
            answer |= {"rateLimits": _UNLIMITED, "gatewayRateLimits": _UNLIMITED}
            client.publish(message.topic.replace("request", "response"), json.dumps(answer), 1)
        elif message.topic == "v1/gateway/telemetry":
            content: dict[str, Sequence[dict[str, Any]]] = json.loads(message.payload)
            for device, rows in content.items():
                self.readings[device] += sum(len(row.get("values", row)) for row in rows)
