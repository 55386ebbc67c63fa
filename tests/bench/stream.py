"""A customer's event stream, heard on a thread of its own: when each cost was told."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

PATIENCE_SECONDS: Final = 30.0


class Stream:
    """Within, an account's events are heard as they come."""

    def __init__(self, port: int, account: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        self._path = f"/api/v1/accounts/{account}/events"
        self._news = threading.Condition()
        self._told: dict[tuple[str, int], float] = {}
        """When a contract's cost first held so many units."""

    def __enter__(self) -> Self:
        self._connection.request("GET", self._path)
        answer = self._connection.getresponse()
        assert answer.status == http.client.OK, f"{self._path}: {answer.status} {answer.read(500)!r}"
        threading.Thread(target=self._hear, args=(answer,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def wait(self, contract: str, units: int) -> float:
        """The monotonic moment at which the contract's cost with so many units was told."""
        with self._news:
            told = self._news.wait_for(lambda: self._told.get((contract, units)), PATIENCE_SECONDS)
        assert told is not None, f"the stream did not tell the cost of {contract}"
        return told

    def _hear(self, answer: http.client.HTTPResponse) -> None:
        for data in _data(answer):
            at = time.monotonic()
            with self._news:
                for line in data.get("lines", ()):
                    self._told.setdefault((data["contract"], int(line["quantity"])), at)
                self._news.notify_all()


def _data(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    try:
        while line := answer.readline():
            if line.startswith(b"data:"):
                yield json.loads(line[5:])
    except (OSError, ValueError, AttributeError):
        return  # It was closed on this side.
