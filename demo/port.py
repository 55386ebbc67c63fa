"""A TCP port of 127.0.0.1 that is kept for a process until it starts: two demos may run beside each other."""

import socket

from demo.processes import DemoFailed


class Port:
    """The port; nobody else is given it before `release`."""

    def __init__(self, preferred: int = 0) -> None:
        """Raises DemoFailed."""
        for number in (preferred, 0):
            self._held = socket.socket()
            try:
                self._held.bind(("127.0.0.1", number))
            except OSError:
                self._held.close()
                continue
            self.number = int(self._held.getsockname()[1])
            return
        raise DemoFailed("no TCP port is free on 127.0.0.1")

    def release(self) -> None:
        """Its process may listen now."""
        self._held.close()
