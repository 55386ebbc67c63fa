"""What an operator decides about a gateway: that a key was stolen, that an epoch is the gateway's own (P10).

Decisions are facts; the rows that follow from them are computed anew with the next transaction of intake,
or at once by `intake.rejudge`.
"""

from collections.abc import Mapping

from cloud_collector.store.store import Store
from shared.errors import InvalidRecord
from shared.limits import INTEGER_MAX

LogPositions = Mapping[str, tuple[str, int]]
"""Of each log the epoch and the seq up to which a key is believed."""


def revoke_key(store: Store, gateway: str, key_id: str, positions: LogPositions, at: int) -> None:
    """The key is revoked: valid up to these positions alone, and in no epoch that is not accepted yet.

    A log that is not named keeps all that was accepted of it. `at` is in milliseconds. Raises
    InvalidRecord for a key or an epoch that the gateway does not have.
    """
    with store.atomic():
        known = {row[0] for row in store.rows("gateway_keys", gateway)}
        if key_id not in known | {row[0] for row in store.rows("rotated_keys", gateway)}:
            raise InvalidRecord(f"{gateway} has no key {key_id}: `cloud-collector gateway show {gateway}` lists them")
        chains = store.rows("chains_for_revocation", gateway)
        for log, (epoch, seq) in positions.items():
            if not any(row[:2] == (log, epoch) for row in chains):
                raise InvalidRecord(
                    f"{gateway} has no epoch {epoch} in its log {log}: `cloud-collector gateway show` lists them"
                )
            if not 0 <= seq <= INTEGER_MAX:
                raise InvalidRecord(f"a position is from 0 to {INTEGER_MAX}, and {seq} is not")
        revocation = store.rows("revocation_put", gateway, key_id, at)[0][0]
        for log, epoch, _, _, _, _, _ in chains:
            last = _last_valid(chains, log, epoch, positions.get(log))
            store.run("revoked_at_put", revocation, log, epoch, last)
        store.run("rejudge_mark", gateway)


def adopt_epoch(store: Store, gateway: str, epoch: str, at: int) -> None:
    """The epoch is the gateway's own: it has its place in the line, and what was known beside it parks nobody.

    `at` is in milliseconds. Raises InvalidRecord for an epoch that the gateway does not have.
    """
    with store.atomic():
        if store.row("epoch_known", gateway, epoch) is None:
            raise InvalidRecord(f"{gateway} has no epoch {epoch}: `cloud-collector gateway show {gateway}` lists them")
        store.run("adoption_put", gateway, epoch, at, gateway)
        store.run("rejudge_mark", gateway)


def _last_valid(chains: list[tuple[object, ...]], log: str, epoch: str, named: tuple[str, int] | None) -> int:
    """The last position of a chain at which the key stays valid."""
    rows = {str(row[1]): row for row in chains if row[0] == log}
    rank, top = rows[epoch][3], int(str(rows[epoch][4]))
    if named is None:
        return top
    if epoch == named[0]:
        return named[1]
    until = rows[named[0]][3]
    if not isinstance(rank, int) or not isinstance(until, int) or rank > until:
        return 0
    # An earlier epoch ends where its successor says that it did: nothing is appended to it any more.
    said = [row[6] for row in rows.values() if row[5] == epoch and isinstance(row[6], int)]
    return max([top, *(seq for seq in said if isinstance(seq, int))])
