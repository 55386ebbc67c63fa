"""Signed checkpoints, proofs under them, and the revisions of the catalog."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from cloud_collector.client.page import Page
from cloud_collector.client.proofs import Checkpoint, Consistency, Inclusion, Revision, RevisionText
from cloud_collector.store.store import Store
from cloud_collector.upkeep.tree import Tree
from cloud_collector.web.api.cursor import Part, page, told
from cloud_collector.web.api.invoices import BEYOND, row_of
from cloud_collector.web.api.problem import Refusal, absent, documented
from cloud_collector.web.api.route import ApiRoute
from cloud_collector.web.api.sight import Here, instant, moment, seen
from cloud_collector.web.gate import Asking, Operating
from shared.effects.database import Row
from shared.merkle import text_of

router = APIRouter(route_class=ApiRoute)
Id = Annotated[int, Path(ge=1, lt=BEYOND)]


@router.get("/checkpoints", response_model=Page[Checkpoint], tags=["proofs"])
def checkpoints(site: Here, viewer: Asking, part: Part) -> Any:
    """Every checkpoint, the newest first: a customer keeps them, and nothing can be taken out unseen."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        return told(
            page(sight.store.rows("api_checkpoints", after[0], part.limit + 1), part, lambda row: (row[0],)),
            _checkpoint,
        )


@router.get("/checkpoints/{checkpoint}", response_model=Checkpoint, tags=["proofs"])
def checkpoint(site: Here, viewer: Asking, checkpoint: Id) -> Any:
    """One checkpoint with its sealed line."""
    with seen(site, viewer) as sight:
        return _checkpoint(_row(sight.store, checkpoint))


@router.get("/checkpoints/{checkpoint}/inclusion", response_model=Inclusion, tags=["proofs"])
def inclusion(
    site: Here,
    viewer: Asking,
    checkpoint: Id,
    number: Annotated[str, Query(min_length=1, max_length=128, description="Of which document.", examples=["INV-7"])],
) -> Any:
    """The proof that an issued document is in a checkpoint."""
    with seen(site, viewer) as sight:
        row = _row(sight.store, checkpoint)
        row_of(sight, number)
        leaf = sight.store.row("leaf_of_invoice", row[1], number)
        tree = Tree(sight.store, row[1])
        if leaf is None or leaf[0] >= row[2] or tree.size < row[2]:
            raise absent()
        path = tree.prove_inclusion(row[2], leaf[0])
        return Inclusion(
            of=number,
            index=leaf[0],
            size=row[2],
            inclusion=[text_of(node) for node in path],
            checkpoint=bytes(row[6]).decode(),
        )


@router.get(
    "/checkpoints/{checkpoint}/consistency", response_model=Consistency, tags=["proofs"], responses=documented(409)
)
def consistency(
    site: Here,
    viewer: Asking,
    checkpoint: Id,
    older: Annotated[int, Query(ge=1, lt=BEYOND, description="The id of the checkpoint before.")],
) -> Any:
    """The proof that a checkpoint only added to an older one of the same log. 409: it is of another, or not older."""
    with seen(site, viewer) as sight:
        newer, before = _row(sight.store, checkpoint), _row(sight.store, older)
        tree = Tree(sight.store, newer[1])
        if before[1] != newer[1] or before[2] > newer[2] or tree.size < newer[2]:
            raise Refusal(409, "these are no two checkpoints of one log in this order: `origin` and `size` say")
        path = tree.prove_consistency(before[2], newer[2])
        return Consistency(
            older=bytes(before[6]).decode(),
            checkpoint=bytes(newer[6]).decode(),
            consistency=[text_of(node) for node in path],
        )


@router.get("/catalog/revisions", response_model=Page[Revision], tags=["catalog"])
def revisions(site: Here, viewer: Operating, part: Part) -> Any:
    """Every revision of the catalog that was applied, the newest first."""
    with seen(site, viewer) as sight:
        after = part.after((0,)) or (BEYOND,)
        rows = sight.store.rows("api_revisions", after[0], part.limit + 1)
        return told(page(rows, part, lambda row: (row[0],)), _revision)


@router.get("/catalog/revisions/{revision}", response_model=RevisionText, tags=["catalog"])
def revision(site: Here, viewer: Operating, revision: Id) -> Any:
    """One revision with its text, byte for byte as it was applied."""
    with seen(site, viewer) as sight:
        row = sight.store.row("api_revision", revision)
        if row is None:
            raise absent()
        return RevisionText(revision=_revision(row[:4]), text=bytes(row[4]).decode())


def _row(store: Store, id_: int) -> Row:
    row = store.row("api_checkpoint", id_)
    if row is None:
        raise absent()
    return row


def _checkpoint(row: Row) -> Checkpoint:
    id_, origin, size, root, at, hash_, line = row
    return Checkpoint(
        id=id_, origin=origin, size=size, root=root, at=instant(at), hash=hash_, line=bytes(line).decode()
    )


def _revision(row: Row) -> Revision:
    number, sha256, applied_at, effective_at = row
    return Revision(number=number, sha256=sha256, applied_at=moment(applied_at), effective_at=instant(effective_at))
