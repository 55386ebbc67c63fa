"""How a collector is asked over HTTP: one request, a list page by page, a stream; a POST that names itself."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from cloud_collector.client.page import Page, Problem
from shared.effects.chance import Chance, system_chance
from shared.errors import MetersealError

T = TypeVar("T")
PATH: Final = "/api/v1"
PAGE: Final = 200
"""Items that are asked for at once."""
_ADAPTERS: Final[dict[Any, TypeAdapter[Any]]] = {}


class Refused(MetersealError):
    """The collector has turned a request down; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class NoCollector(MetersealError):
    """What answers is no collector, or nothing does."""


class Asking:
    """A line to one collector; a POST is sent again once where it breaks, and done once."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        chance: Chance = system_chance,
    ) -> None:
        """`url` is the collector's, without a path; `transport` may stand in for the network."""
        headers = {"Accept": "application/json", "User-Agent": "meterseal-client"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._chance = chance
        self._http = httpx.Client(
            base_url=url.rstrip("/") + PATH, headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        """For `with`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are closed."""
        self.close()

    def close(self) -> None:
        """The connections are closed."""
        self._http.close()

    def _get(self, kind: type[T], path: str, **asked: str | None) -> T:
        return _shaped(kind, self._asked("GET", path, params=given(asked)).content)

    def _post(self, kind: type[T], path: str, body: Any = None, more: Mapping[str, str] | None = None) -> T:
        headers = {"Idempotency-Key": self._chance(16).hex(), **(more or {})}

        def send() -> httpx.Response:
            return self._asked("POST", path, json=body, headers=headers)

        try:
            answer = send()
        except NoCollector:
            # It may have been done: under the same name it is done once.
            answer = send()
        return _shaped(kind, answer.content)

    def _pages(self, record: type[T], path: str, /, *, limit: int = PAGE, **asked: str | None) -> Iterator[T]:
        every: dict[str, str] = given(asked) | {"limit": str(limit)}
        cursor: dict[str, str] = {}
        while True:
            page: Page[T] = _shaped(
                Page[record],  # type: ignore[valid-type]  # a record's type, known when it runs
                self._asked("GET", path, params=every | cursor).content,
            )
            yield from page.items
            if page.next is None:
                return
            cursor = {"cursor": page.next}

    def _asked(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **how)
        except httpx.TransportError as error:
            raise NoCollector(f"{self._http.base_url} does not answer: {error}") from error
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    @contextmanager
    def _streamed(self, path: str, **how: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", path, **how) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                yield answer
        except httpx.TransportError as error:
            raise NoCollector(f"{self._http.base_url} does not answer any more: {error}") from error


def _refusal(answer: httpx.Response) -> MetersealError:
    if answer.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return NoCollector(f"{answer.url} answered {answer.status_code} and no problem: is it a collector?")
    return Refused(_shaped(Problem, answer.content))


def _shaped(kind: type[T], raw: bytes) -> T:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    found: T = _ADAPTERS[kind].validate_json(raw)
    return found


def given(asked: Mapping[str, str | None]) -> dict[str, str]:
    """What of it is asked for at all."""
    return {name: value for name, value in asked.items() if value is not None}


def part(name: str) -> str:
    """One part of a path, whatever is in the name."""
    return quote(name, safe="")


def device_path(device: str) -> str:
    """`gateway/device` as two parts of a path."""
    gateway, _, name = device.rpartition("/")
    return f"{part(gateway)}/{part(name)}"


def written(at: datetime | None) -> str | None:
    """An instant as a request has it; raises ValueError where it has no zone."""
    if at is not None and at.tzinfo is None:
        raise ValueError(f"{at} has no zone")
    return None if at is None else at.isoformat()


def dated(on: date | None) -> str | None:
    """A local date as a request has it."""
    return None if on is None else on.isoformat()


def listed(names: Iterable[str] | None) -> list[str] | None:
    """Names in order; None stays None."""
    return None if names is None else sorted(names)
