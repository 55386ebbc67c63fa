"""What the store knows of where a gateway's keys are valid (P10)."""

from cloud_collector.store.store import Store
from shared.validity import ChainName, Rotation, Validity


def validity(store: Store, gateway: str) -> Validity:
    """What the store knows of a gateway's keys."""
    rotations = [
        Rotation(log=log, epoch=epoch, seq=seq, old=old, new=new)
        for log, epoch, seq, old, new, _ in store.rows("rotations_of", gateway)
    ]
    limits: dict[int, tuple[str, dict[ChainName, int]]] = {}
    for id_, key, log, epoch, last in store.rows("revocations_of", gateway):
        found = limits.setdefault(id_, (key, {}))[1]
        if log is not None:
            found[log, epoch] = last
    roots = [row[0] for row in store.rows("root_keys", gateway)]
    return Validity(roots=roots, rotations=rotations, revoked=limits.values())
