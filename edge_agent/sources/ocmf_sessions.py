"""From signed records to usage: what was charged between a begin and its end, each unit once (P1, P5).

A transaction is one record with both, or two of which each holds one. Two belong together only where every
page between them is there: nobody guesses about a page that has not come (P19). It may still come, in any
order, and usage is known with the record that completes it. What a meter's lifetime register has counted
is taken once, whichever records tell of it; registers that start anew with each transaction are told apart
by their pages alone.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Final, NamedTuple

from edge_agent.sources.ocmf_record import BEGINS, ENDS, OcmfRecord, Reading, Register
from shared.errors import Refused

_PER_TRANSACTION: Final = re.compile(r"(?:[BC][23]\.0?8\.|98\.0?8\.)", re.ASCII)
"""Registers that start anew with each transaction: B2, B3, C2, C3 of the format's table of OBIS codes, and 98.8."""
_NOTHING: Final = Decimal(0)
WATT_HOURS_MAX: Final = Decimal(10**12)
"""No meter of a charge point shows more."""
_PARTS: Final = 6
"""Registers are told apart to 10^-6 W.h."""
CLOCK_SLACK_MS: Final = 2_000
"""A record's times are whole seconds; its energy is judged by a duration this much longer."""


class Part(StrEnum):
    """What a record holds of a transaction."""

    WHOLE = "whole"
    BEGIN = "begin"
    MIDDLE = "middle"
    END = "end"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a genuine record means for its transaction."""

    gateway: str
    meter: str
    context: str
    page: int
    digest: str
    part: Part
    obis: str = ""
    begin: Register | None = None
    end: Register | None = None

    @property
    def mark(self) -> int:
        """What of the digest tells a record that is seen again from another on its page."""
        return int(self.digest[:15], 16)

    def to_json(self) -> dict[str, Any]:
        """Plain data; registers as text, for they are exact."""
        return {
            "gateway": self.gateway,
            "meter": self.meter,
            "page": f"{self.context}{self.page}",
            "digest": self.digest,
            "part": str(self.part),
            "obis": self.obis,
            "begin": None if self.begin is None else [f"{self.begin.watt_hours:f}", self.begin.at_ms],
            "end": None if self.end is None else [f"{self.end.watt_hours:f}", self.end.at_ms],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Page":
        """The page that `to_json` wrote."""
        begin, end = (
            None if data[key] is None else Register(Decimal(data[key][0]), data[key][1]) for key in ("begin", "end")
        )
        return cls(
            gateway=data["gateway"],
            meter=data["meter"],
            context=data["page"][0],
            page=int(data["page"][1:]),
            digest=data["digest"],
            part=Part(data["part"]),
            obis=data["obis"],
            begin=begin,
            end=end,
        )


class Taken(NamedTuple):
    """A record that is new: the usage that it completes, and what it waits for, if it does."""

    watt_hours: Decimal
    waits: str = ""


class Seen(NamedTuple):
    """A record that was taken before."""


def page_of(record: OcmfRecord, obis: str = "") -> Page | Refused:
    """What a verified record means; `obis` chooses among several registers."""
    begins = _registers(record, BEGINS, obis)
    ends = _registers(record, ENDS, obis)
    reasons = {reading.reason for reading in record.readings}
    has_begin, has_end = bool(reasons & set(BEGINS)), bool(reasons & set(ENDS))
    made = partial(
        Page,
        gateway=record.gateway,
        meter=record.meter,
        context=record.context,
        page=record.page,
        digest=record.digest,
    )
    if record.context != "T" or reasons == {""}:
        return made(part=Part.NONE)
    if not has_begin and not has_end:
        fault = next((reading.fault for reading in record.readings if reading.fault), "")
        return Refused(f"during the transaction {fault}") if fault else made(part=Part.MIDDLE)
    chosen = sorted(begins.keys() & ends.keys() if has_begin and has_end else begins or ends)
    if len(chosen) != 1:
        what = f"has the registers {', '.join(chosen)}" if chosen else f"has no energy register {obis}".rstrip()
        return Refused(f"its transaction {what}: say in the configuration which one is billed, with obis")
    (code,) = chosen
    fault = next((reading.fault for reading in record.readings if reading.fault and reading.obis in (code, "")), "")
    begin, end = begins.get(code, []), ends.get(code, [])
    if fault or len(begin) > 1 or len(end) > 1:
        return Refused(fault or "it holds more than one begin or end of a transaction")
    if any(abs(register.watt_hours) > WATT_HOURS_MAX for register in (*begin, *end)):
        return Refused(f"its register is beyond {WATT_HOURS_MAX} Wh, which no meter shows")
    part = Part.WHOLE if begin and end else Part.BEGIN if begin else Part.END
    return made(part=part, obis=code, begin=begin[0] if begin else None, end=end[0] if end else None)


def _registers(record: OcmfRecord, reasons: str, obis: str) -> dict[str, list[Register]]:
    found: dict[str, list[Register]] = {}
    for reading in record.readings:
        if reading.register is not None and reading.reason and reading.reason in reasons and _fits(reading, obis):
            found.setdefault(reading.obis, []).append(reading.register)
    return found


def _fits(reading: Reading, obis: str) -> bool:
    return not obis or reading.obis == obis or reading.obis.partition("*")[0].endswith(f":{obis}")


class _Counted:
    """What was counted of one register: intervals that do not touch, ascending, in sixteen bytes each."""

    def __init__(self) -> None:
        self._begins = array("q")
        self._ends = array("q")

    def add(self, begin: Decimal, end: Decimal) -> None:
        """The interval is counted, with all that it overlaps or touches."""
        low, high = _parts(begin), _parts(end)
        if low == high:
            return
        first, beyond = self._touched(low, high)
        if first < beyond:
            low, high = min(low, self._begins[first]), max(high, self._ends[beyond - 1])
        self._begins[first:beyond] = array("q", [low])
        self._ends[first:beyond] = array("q", [high])

    def told(self, begin: Decimal, end: Decimal) -> bool | None:
        """Whether others have told of the interval: of all of it, of nothing; None: of a part."""
        low, high = _parts(begin), _parts(end)
        first, beyond = self._touched(low + 1, high - 1)
        if first == beyond:
            return False
        return True if self._begins[first] <= low and high <= self._ends[first] else None

    def _touched(self, low: int, high: int) -> tuple[int, int]:
        """The first interval that ends at or after low, and the first that begins after high."""
        first = bisect_left(self._ends, low)
        return first, max(first, bisect_right(self._begins, high))


class Sessions:
    """The transactions of every meter behind one source."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str, str], dict[int, int]] = {}
        self._loose: dict[tuple[str, str], dict[int, Page]] = {}
        """Pages of transactions that are not complete."""
        self._counted: dict[tuple[str, str, str], _Counted] = {}

    def take(self, page: Page, *, most_a_second: Decimal) -> Taken | Seen | Refused:
        """A verified record; `most_a_second` are watt hours that its charge point can deliver in a second."""
        known = self._known(page).get(page.page)
        if known is not None:
            return Seen() if known == page.mark else Refused(f"its page {_name(page)} was another record before")
        begin, end, waits = self._ends_of(page)
        usage = _NOTHING
        if begin is not None and end is not None:
            found = self._usage(page, begin, end, most_a_second)
            if isinstance(found, Refused):
                return found
            usage = found
        self.restore(page)
        return Taken(usage, waits)

    def restore(self, page: Page) -> None:
        """A record that was taken is known again."""
        begin, end, _ = self._ends_of(page)
        self._known(page)[page.page] = page.mark
        loose = self._loose.setdefault((page.gateway, page.meter), {})
        if page.part in (Part.BEGIN, Part.WHOLE):
            _drop_unended(loose, page.page - 1)
        if page.part in (Part.BEGIN, Part.MIDDLE, Part.END):
            loose[page.page] = page
        if begin is not None and end is not None:
            if not _per_transaction(begin):
                self._of_register(begin).add(_register(begin.begin), _register(end.end))
            for number in range(begin.page, end.page + 1):
                loose.pop(number, None)

    def _ends_of(self, page: Page) -> tuple[Page | None, Page | None, str]:
        """Begin and end of the page's transaction as far as they are there, and what is missing."""
        if page.part is Part.WHOLE:
            return page, page, ""
        if page.part is Part.NONE:
            return None, None, ""
        begin, hole = (page, None) if page.part is Part.BEGIN else self._search(page, -1, Part.BEGIN)
        end, later = (page, None) if page.part is Part.END else self._search(page, +1, Part.END)
        if begin is not None and end is not None and begin.obis != end.obis:
            return begin, None, f"its begin is of {begin.obis} and its end of {end.obis}"
        waits = "" if page.part is not Part.END or begin is not None else _waits(page, hole)
        return begin, end, waits or ("" if page.part is not Part.BEGIN or end or later else "its end")

    def _search(self, page: Page, step: int, part: Part) -> tuple[Page | None, int | None]:
        """The nearest page of a kind with only the same transaction in between, or the first that is missing."""
        loose = self._loose.get((page.gateway, page.meter), {})
        number = page.page + step
        while number >= 0:
            found = loose.get(number)
            if found is not None and found.part is not Part.MIDDLE:
                return (found, None) if found.part is part else (None, None)
            if found is None:
                if number in self._known(page):
                    return None, None
                if not self._is_of_another(page, number):
                    return None, number
            number += step
        return None, None

    def _is_of_another(self, page: Page, number: int) -> bool:
        """Whether another meter of the same signing component has the page: they may share one count."""
        return bool(page.gateway) and any(
            number in pages
            for (gateway, meter, context), pages in self._pages.items()
            if gateway == page.gateway and meter != page.meter and context == page.context
        )

    def _usage(self, page: Page, begin: Page, end: Page, most_a_second: Decimal) -> Decimal | Refused:
        first, last = begin.begin, end.end
        assert first is not None, "a begin has its register"
        assert last is not None, "an end has its register"
        used = last.watt_hours - first.watt_hours
        if used < 0:
            return Refused(f"its register {page.obis} falls by {_plain(-used)} Wh")
        if first.at_ms is not None and last.at_ms is not None:
            if last.at_ms < first.at_ms:
                return Refused("its transaction ends before it begins")
            if used * 1_000 > most_a_second * (last.at_ms - first.at_ms + CLOCK_SLACK_MS):
                seconds = (last.at_ms - first.at_ms) // 1_000
                return Refused(f"{_plain(used)} Wh in {seconds} s are more than rate_max allows")
        if _per_transaction(begin) or used == 0:
            return used
        told = self._of_register(begin).told(first.watt_hours, last.watt_hours)
        if told is None:
            span = f"{_plain(first.watt_hours)} to {_plain(last.watt_hours)} Wh"
            return Refused(f"others have told of a part of what its register counted, {span}")
        return _NOTHING if told else used

    def _known(self, page: Page) -> dict[int, int]:
        return self._pages.setdefault((page.gateway, page.meter, page.context), {})

    def _of_register(self, page: Page) -> _Counted:
        return self._counted.setdefault((page.gateway, page.meter, page.obis), _Counted())


def _drop_unended(loose: dict[int, Page], number: int) -> None:
    """A transaction that another follows on the very next page has no end and waits for none."""
    while (page := loose.get(number)) is not None and page.part is not Part.END:
        del loose[number]
        number -= 1


def _register(register: Register | None) -> Decimal:
    assert register is not None, "a begin and an end have their registers"
    return register.watt_hours


def _parts(watt_hours: Decimal) -> int:
    return int(watt_hours.scaleb(_PARTS))


def _plain(watt_hours: Decimal) -> str:
    return f"{watt_hours.normalize():f}"


def _per_transaction(page: Page) -> bool:
    return _PER_TRANSACTION.search(page.obis.upper().partition(":")[2]) is not None


def _name(page: Page) -> str:
    return f"{page.context}{page.page}"


def _waits(page: Page, hole: int | None) -> str:
    return "its begin, which nobody has" if hole is None else f"the page {page.context}{hole} before it"
