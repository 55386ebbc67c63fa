"""What had been received when an invoice was issued, read from the store in the issuing transaction."""

from collections.abc import Iterable, Mapping

from cloud_collector.invoice.basis import Cutoff, LogCutoff
from cloud_collector.store.store import Store
from cloud_collector.usage.span import Read


def cutoff(
    store: Store,
    reads: Iterable[Read],
    *,
    measured_until: int,
    now_ms: int,
    silent: Mapping[str, int | None],
    rates_max: Mapping[str, int],
    skew_seconds: int,
) -> Cutoff:
    """The chain positions of every log that the counters rest on, and what only the collector knows of its lines."""
    lowest: dict[tuple[str, str], dict[str, int]] = {}
    for read in reads:
        epochs = lowest.setdefault((read.channel.gateway, read.log), {})
        epochs[read.epoch] = min(epochs.get(read.epoch, read.seq_start), read.seq_start)
    received: list[LogCutoff] = []
    moved: list[tuple[str, str, str, int, int]] = []
    boots: set[tuple[str, str, str, int]] = set()
    for (gateway, log), epochs in sorted(lowest.items()):
        for chain, epoch, through, top, gone in store.rows("received_chains", gateway, log):
            if epoch not in epochs:
                continue
            holes = _holes(store, chain, 0 if gone else through)
            received.append(LogCutoff(gateway=gateway, log=log, epoch=epoch, last=top, holes=holes))
            late = store.rows("received_moved", chain, top, epochs[epoch])
            moved += [(gateway, log, epoch, seq, received_at) for seq, received_at in late]
            laid = store.rows("received_boots", gateway, log, chain, top)
            boots |= {(gateway, log, boot, shift) for boot, shift in laid}
    return Cutoff(
        measured_until=measured_until,
        received_until=now_ms,
        received=tuple(received),
        silent=dict(silent),
        moved=tuple(moved),
        boots=tuple(sorted(boots)),
        skew_seconds=skew_seconds,
        rates_max=dict(rates_max),
    )


def _holes(store: Store, chain: int, above: int) -> tuple[tuple[int, int], ...]:
    """Positions up to the highest that are not held; up to `above` all are."""
    first = store.rows("received_from", chain, above)[0][0]
    holes = [(above + 1, first - 1)] if first is not None and first > above + 1 else []
    return (*holes, *((a, b) for a, b in store.rows("received_holes", chain, above)))
