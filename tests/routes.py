"""Every route of an application, those of included routers and of mounted applications too, and who is let through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A path, the methods that it answers, and all that is asked before it."""

    path: str
    methods: frozenset[str]
    asks: frozenset[Callable[..., Any]]

    @property
    def parameters(self) -> list[str]:
        """What stands in braces."""
        return [each.partition("}")[0].partition(":")[0] for each in self.path.split("{")[1:]]


def every_route(app: FastAPI, above: str = "") -> Iterator[Path]:
    """Each path with its methods, as often as it is routed."""
    for each in iter_route_contexts(app.routes):
        origin = getattr(each, "original_route", each)
        if isinstance(origin, Mount) and isinstance(origin.app, FastAPI):
            yield from every_route(origin.app, above + origin.path)
            continue
        dependant = getattr(each, "dependant", None)
        asks = frozenset(_asked(dependant)) if isinstance(dependant, Dependant) else frozenset()
        methods = frozenset(getattr(each, "methods", None) or ())
        # As the description has it: a convertor says what fits, and not what it is called.
        path = str(getattr(each, "path", "")).replace(":form}", "}")
        yield Path(path=above + path, methods=methods, asks=asks)


def _asked(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for each in dependant.dependencies:
        if each.call is not None:
            yield each.call
        yield from _asked(each)
