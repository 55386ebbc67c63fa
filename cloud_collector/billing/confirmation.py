"""Between a restore and the word of an operator nothing is billed: somebody must know the last numbers (P22)."""

import json
from collections.abc import Collection, Mapping

from cloud_collector.billing.issue import BillingRefused
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store
from shared.errors import MetersealError


class NotConfirmed(MetersealError):
    """What was named is not what the store knows."""


def last_numbers(store: Store) -> dict[str, int]:
    """Of each series of numbers the last one given out."""
    return {series: last for series, last in store.rows("series_all") if last}


def waits_for_confirmation(store: Store) -> str | None:
    """Why billing waits, in a sentence; None where it does not."""
    row = store.row("restoration_open")
    if row is None:
        return None
    told = " ".join(f"{series}{last}" for series, last in last_numbers(store).items()) or "--none"
    return (
        f"the store was restored at {iso(row[1] // 1000)} from a backup of {iso(row[2] // 1000)}, and nothing is "
        "billed until the last numbers are confirmed: compare with what was sent last, then "
        f"`cloud-collector backup confirm {told}`"
    )


def require_confirmed(store: Store) -> None:
    """Raises BillingRefused while a restore waits for its confirmation."""
    why = waits_for_confirmation(store)
    if why is not None:
        raise BillingRefused(why)


def confirm(store: Store, named: Collection[str], given_up: Collection[str], now_ms: int) -> bool:
    """The last numbers are confirmed and billing goes on; False where nothing waited. Raises NotConfirmed.

    `given_up` are numbers whose documents are lost for good: they are passed over and never used again.
    """
    with store.atomic():
        waiting = [row[0] for row in store.rows("restorations_unconfirmed")]
        if not waiting:
            return False
        known = last_numbers(store)
        wanted = _wanted(named, known)
        passed = _pass_over(store, wanted, known, given_up)
        told = json.dumps({"last": dict(sorted(wanted.items())), "given_up": passed}, separators=(",", ":"))
        for restoration in waiting:
            store.run("restoration_confirm", restoration, now_ms, told)
    return True


def _wanted(named: Collection[str], known: Mapping[str, int]) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for number in named:
        series = next((each for each in sorted(known, key=len, reverse=True) if _follows(number, each)), None)
        if series is None:
            raise NotConfirmed(
                f"{number} belongs to no series of numbers that is known: {', '.join(sorted(known)) or 'there is none'}"
            )
        wanted[series] = int(number.removeprefix(series))
    for series, last in known.items():
        if series not in wanted:
            raise NotConfirmed(f"name the last number of every series; of {series} the store knows {series}{last}")
        if wanted[series] < last:
            raise NotConfirmed(f"{series}{last} was given out after {series}{wanted[series]}: the folder holds it")
    return wanted


def _pass_over(
    store: Store, wanted: Mapping[str, int], known: Mapping[str, int], given_up: Collection[str]
) -> list[str]:
    absent = [f"{series}{n}" for series, last in wanted.items() for n in range(known[series] + 1, last + 1)]
    kept = [number for number in absent if number not in given_up]
    if kept:
        raise NotConfirmed(
            f"{', '.join(kept[:8])} {'is' if len(kept) == 1 else 'are'} not in the folder of issued invoices: put the "
            "sealed file of each there (`invoice.ms` of its evidence bundle, as NUMBER.ms) and run `backup reimport`. "
            "Only where no copy exists anywhere: --given-up NUMBER; what it billed is billed again, by another number"
        )
    for series, last in wanted.items():
        for _ in range(known[series], last):
            store.run("series_next", series)
    return absent


def _follows(number: str, series: str) -> bool:
    rest = number.removeprefix(series)
    return number.startswith(series) and rest.isdecimal() and not rest.startswith("0")
