"""What a change of the catalog would have cost whom: dry, by the code that rates invoices."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from cloud_collector.access.viewer import Deed
from cloud_collector.client.overview import Difference, LeftOut, WhatIf
from cloud_collector.contracts.change import read_change
from cloud_collector.contracts.node import CatalogError
from cloud_collector.insight.what_if import CONTRACTS_MAX, alike, asked_span, what_if
from cloud_collector.web.api.once import Once
from cloud_collector.web.api.problem import Refusal, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.shape import shaped
from cloud_collector.web.api.sight import Here, Sight, seen
from cloud_collector.web.gate import Operating, must

router = APIRouter(route_class=ApiRoute, tags=["catalog"])
Name = Annotated[str, Field(min_length=1, max_length=64)]


class Tried(BaseModel):
    """What is tried out, on whom, and over which periods."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"changes": ["plans.charger.activation.grace=60d"], "alike": "acme-chargers"}],
        },
    )

    catalog: Annotated[str, Field(min_length=1, max_length=1_000_000)] | None = None
    """A whole catalog as TOML, in place of the one in force."""
    changes: Annotated[list[Annotated[str, Field(min_length=1, max_length=1_000)]], Field(max_length=100)] = []
    """Each `KEY=VALUE`, the key dotted as in the catalog; such as `contracts.acme-chargers.plan=flat`."""
    contracts: Annotated[list[Name], Field(max_length=CONTRACTS_MAX)] | None = None
    """These alone."""
    alike: Name | None = None
    """This one and all others that have its plan. Null, with `contracts` null: every contract."""
    first: Annotated[str, Field(max_length=32)] = ""
    """The first period, such as `2026-10`; empty: from the beginning."""
    last: Annotated[str, Field(max_length=32)] = ""
    """The last one; empty: only the first, or all."""


@router.post("/catalog/what-if", response_model=WhatIf, dependencies=[Once], responses=documented(409, 413))
def tried(site: Here, viewer: Operating, wanted: Tried) -> Any:
    """What a change of the catalog would have cost whom, what differs most first. Nothing is changed by asking.

    At most 100 contracts are rated; `beyond` counts the others. 409: the catalog would break a rule.
    """
    must(viewer, Deed.READ)
    if wanted.catalog is None and not wanted.changes:
        raise Refusal(409, "body: say what would differ: `catalog`, or `changes` such as plans.charger.settle=24h")
    with seen(site, viewer) as sight:
        if not sight.known:
            raise Refusal(409, "no catalog has been applied yet: `cloud-collector catalog apply FILE`")
        whom = _whom(sight, wanted)
        try:
            changes = [read_change(each.strip()) for each in wanted.changes]
            span = asked_span(wanted.first.strip(), wanted.last.strip())
            found = what_if(sight.store, sight.view, sight.known, changes, whom, span, sight.now, text=wanted.catalog)
        except (CatalogError, ValueError) as error:
            raise Refusal(409, f"body: {error}") from None
    return WhatIf(
        changes=list(found.said),
        found=[shaped(Difference, each.to_json()) for each in found.found],
        left_out=[LeftOut(contract=name, why=why) for name, why in found.left_out],
        beyond=found.beyond,
    )


def _whom(sight: Sight, wanted: Tried) -> list[str]:
    """Of which contracts; raises Refusal (404, 409)."""
    if wanted.alike is not None:
        if wanted.contracts is not None:
            raise Refusal(409, "body: `contracts` and `alike` each say whom: send one of them")
        return alike(sight.known[-1].catalog, sight.contract(wanted.alike).key)
    if wanted.contracts is None:
        return list(sight.contracts)
    return [sight.contract(each).key for each in dict.fromkeys(wanted.contracts)]
