"""Whoever asks, as the collector knows him."""

from typing import Any

from fastapi import APIRouter

from cloud_collector.client.me import Me
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.gate import Asking

router = APIRouter(route_class=ApiRoute, tags=["me"])


@router.get("/me", response_model=Me)
def me(viewer: Asking) -> Any:
    """Who the token or the session belongs to, which accounts it sees, and which scopes it has."""
    return Me(
        name=viewer.name,
        role=viewer.role.value,
        accounts=None if viewer.accounts is None else sorted(viewer.accounts),
        scopes=sorted(scope.value for scope in viewer.scopes),
    )
