"""The embedded MQTT broker of the demo, as a process of its own: `python -m demo.broker PORT PASSWORDS`.

amqtt queues nothing for anonymous clients, so everyone has a name. It is for the demo and for tests
only; production takes Mosquitto (config/mosquitto/).
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from amqtt.broker import Broker
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher


def write_passwords(path: Path, users: dict[str, str]) -> None:
    """Write the broker's password file, hashed."""
    # Passwords of 192 random bits need no stretching, and a demo's users have no minute to spare.
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
    rows = [f"{name}:{hasher.hash(password)}" for name, password in users.items()]
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    path.chmod(0o600)


async def serve(port: int, passwords: Path) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 64}},
            "plugins": {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)}},
        }
    )
    await broker.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
