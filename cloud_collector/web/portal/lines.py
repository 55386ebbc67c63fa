"""One signed line as the gateway sealed it: its bytes, whether its signature is right, and the words of its key."""

from typing import Any

from fastapi import APIRouter, Request, Response

from cloud_collector.billing.absent import deletions
from cloud_collector.insight.owned import owned, shows_others
from cloud_collector.store.store import Store
from cloud_collector.web import gate
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import Visiting, as_json, catalog_of, owner, show
from cloud_collector.web.site import Site
from shared.errors import Refused
from shared.key import PublicKey
from shared.line import hash_of, parse
from shared.report import read

SEQ_DIGITS_MAX = 15


def add(router: APIRouter, site: Site) -> None:
    """The page is served."""

    @router.get("/portal/{account}/lines/{gateway}/{log}/{epoch}/{seq}", include_in_schema=False)
    def line(
        request: Request, account: str, gateway: str, log: str, epoch: str, seq: str, viewer: Visiting
    ) -> Response:
        bare, _, suffix = seq.partition(".")
        with site.look() as look:
            owner(look.store, account)
            found = _line(look.store, account, (gateway, log, epoch), bare)
            if suffix:
                if suffix != "json":
                    raise gate.Closed(404, gate.NOT_THERE)
                return as_json(found)
            answer = show(request, look, account, "line.html", title=f"Report {bare}", table=None, told={"line": found})
        looked(site, request, viewer, account, f"report {bare} of {gateway} {log} {epoch}")
        return answer


def _line(store: Store, account: str, chain: tuple[str, str, str], seq: str) -> dict[str, Any]:
    """The line with what is to be said of it; raises Closed with 404 where it is not the account's alone (P20)."""
    catalog = catalog_of(store)
    number = int(seq) if seq.isascii() and seq.isdecimal() and len(seq) <= SEQ_DIGITS_MAX else 0
    row = store.row("portal_line", *chain, number)
    if row is None or catalog is None:
        raise gate.Closed(404, gate.NOT_THERE)
    raw = bytes(row[0])
    mine = any(each.device.startswith(f"{chain[0]}/") for each in owned(catalog, account))
    if not raw and mine and (gone := deletions(store, account)):
        raise gate.Closed(
            404, f"{gone[0].sentence}: of this report only its position, its hash and its counters are kept"
        )
    parsed = parse(raw)
    report = parsed if isinstance(parsed, Refused) else read(parsed)
    if isinstance(report, Refused) or isinstance(parsed, Refused):
        # What cannot be read might be anybody's.
        raise gate.Closed(404, gate.NOT_THERE)
    if shows_others(catalog, account, report):
        raise gate.Closed(404, gate.NOT_THERE)
    keys = {key: PublicKey(bytes(public)) for key, public in store.rows("evidence_keys", chain[0])}
    key = keys.get(report.header.key)
    return {
        "gateway": chain[0],
        "log": chain[1],
        "epoch": chain[2],
        "seq": number,
        "kind": type(report).__name__.lower().removesuffix("line"),
        "raw": raw.decode("ascii"),
        "hash": hash_of(raw),
        "received_at_ms": row[1],
        "genuine": key is not None and parsed.verified_by(key),
        "key": report.header.key,
        "words": None if key is None else key.words,
        "sha256": None if key is None else key.sha256,
    }
