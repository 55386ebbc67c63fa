"""Whoever asks, as the collector knows him."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["me"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who asks, and what he may do."""

    name: str
    role: Annotated[str, Field(examples=["customer"])]
    accounts: list[str] | None
    """Null: all of them."""
    scopes: list[str]


@router.get("/me", response_model=Me)
def me(viewer: Asking) -> Any:
    """Who the token or the session belongs to, which accounts it sees, and which scopes it has."""
    return Me(
        name=viewer.name,
        role=viewer.role.value,
        accounts=None if viewer.accounts is None else sorted(viewer.accounts),
        scopes=sorted(scope.value for scope in viewer.scopes),
    )
