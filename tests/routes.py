"""Every route of an application, those of included routers too."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A path and the methods that it answers."""

    path: str
    methods: frozenset[str]


def every_route(app: FastAPI) -> Iterator[Path]:
    """Each path with its methods, as often as it is routed; a mounted folder under its name and no method."""
    for each in iter_route_contexts(app.routes):
        methods = getattr(each, "methods", None) or ()
        yield Path(path=str(getattr(each, "path", "")), methods=frozenset(methods))
