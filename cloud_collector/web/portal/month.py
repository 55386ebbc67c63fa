"""The month at a glance: cost so far, forecast, budget, commitment, devices that wait or rest, and its days."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from cloud_collector.contracts.catalog import Committed
from cloud_collector.contracts.money import Rounding, as_written, exponent_of, plain, rounded
from cloud_collector.contracts.period import Period, local_date, local_days
from cloud_collector.insight.account_cost import AccountCost, account_cost
from cloud_collector.insight.cost import Cost, DeviceCost
from cloud_collector.insight.detail import Day
from cloud_collector.insight.ended import ended_of
from cloud_collector.insight.grounds import line_id
from cloud_collector.insight.kept import Later
from cloud_collector.insight.meter_days import MeterDays, meter_days
from cloud_collector.invoice.locale import Locale, locale_named
from cloud_collector.rating.draft import DraftLine
from cloud_collector.rating.standing import Standing
from cloud_collector.store.view import StoreView
from cloud_collector.usage.span import UsageView
from cloud_collector.web.looking import looked
from cloud_collector.web.portal.frame import (
    Visiting,
    catalog_of,
    moment_of,
    owner,
    running,
    show,
    twins,
)
from cloud_collector.web.site import Look, Moment, Site
from cloud_collector.web.table import Cell, Column, Table, row

MONTH: Final = "cost and usage this month"
"""What who opens the page has looked at, and who hears its figures move."""
NAMED_MAX: Final = 12
"""Devices that are named in a list on the page; how many more there are is said."""
LINES_MAX: Final = 30
"""Lines that are told on the page; all of them have a page of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One contract on the page."""

    cost: Cost
    title: str
    meters: tuple[MeterDays, ...] | None
    """None: they rest on many reports, and are there for whoever waits."""

    @property
    def later(self) -> bool:
        """Whether something is left for whoever waits."""
        return self.cost.later or self.meters is None


def add(router: APIRouter, site: Site) -> None:
    """The pages are served."""
    path = "/portal/{account}"

    def facts(look: Look, parts: Mapping[str, str]) -> Any:
        account, now_ms = parts["account"], look.moment.now_ms
        owner(look.store, account)
        found = account_cost(look.store, account, now_ms, StoreView, memory=look.kept)
        return found.to_json() | {"ended": [each.to_json() for each in ended_of(look.store, account, now_ms)]}

    def sheet(look: Look, parts: Mapping[str, str]) -> Table:
        account = parts["account"]
        owner(look.store, account)
        found = account_cost(look.store, account, look.moment.now_ms, StoreView, foretold=False, memory=look.kept)
        return _lines_table(account, found)

    twins(router, site, path, sheet, facts)

    @router.get(path, include_in_schema=False)
    def month(request: Request, account: str, viewer: Visiting, *, wait: bool = False) -> Response:
        with site.look() as look:
            who, moment = owner(look.store, account), moment_of(look, account)
            found = account_cost(look.store, account, look.moment.now_ms, StoreView, memory=look.kept, wait=wait)
            sections = [section(look, each, moment, wait=wait) for each in found.contracts]
            told = {
                "cost": found,
                "ended": ended_of(look.store, account, look.moment.now_ms),
                "sections": sections,
                "say": Say(locale_named(who.locale), moment),
                "state_of": state_of,
            }
            table = _lines_table(account, found)
            answer = show(request, look, account, "month.html", title=running(look, account), table=table, told=told)
        looked(site, request, viewer, account, MONTH)
        return answer


@dataclass(frozen=True, slots=True)
class Say:
    """Figures as the account's people read them; machine exports never pass through here."""

    locale: Locale
    moment: Moment

    def money(self, amount: Decimal, currency: str) -> str:
        """An amount, digit for digit."""
        return self.locale.amount(as_written(amount), currency)

    def number(self, value: Decimal | Fraction) -> str:
        """A quantity."""
        return self.locale.number(plain(Fraction(value)))

    def percent(self, part: Decimal, whole: Decimal) -> int:
        """A share in whole per cent."""
        return int(part * 100 / whole) if whole else 0

    def day(self, seconds: int) -> str:
        """The local date of an instant."""
        return self.moment.day(seconds)

    def local(self, seconds: int) -> str:
        """An instant to the minute."""
        return self.moment.local(seconds)

    def progress(self, period: Period) -> str:
        """How far a period has come."""
        cut = local_days(period.timezone, period.start, period.end)
        return f"day {sum(1 for start, _ in cut if start <= self.moment.now)} of {len(cut)}"

    def age(self, known_until: int | None) -> str:
        """How old what is known is."""
        if known_until is None:
            return "no report yet"
        return f"known until {self.moment.ago(known_until * 1_000)}"

    def committed(self, each: Standing, currency: str) -> str:
        """What is committed and how far it is met."""
        unit = {Committed.AMOUNT: "net", Committed.DEVICES: "devices", Committed.QUANTITY: each.unit}[each.of]
        return f"{self.figure(each, each.counted, currency)} of {self.figure(each, each.committed, currency)} {unit}"

    def figure(self, each: Standing, value: Decimal | Fraction, currency: str) -> str:
        """A figure of the commitment: money as money."""
        if each.of is not Committed.AMOUNT:
            return self.number(value)
        return self.money(rounded(Fraction(value), exponent_of(currency), Rounding.HALF_UP), currency)

    def named(self, devices: Sequence[DeviceCost]) -> list[DeviceCost]:
        """The first of them."""
        return list(devices[:NAMED_MAX])

    def first(self, lines: Sequence[DraftLine]) -> list[DraftLine]:
        """Those that are listed on the page."""
        return list(lines[:LINES_MAX])

    def id(self, line: DraftLine) -> str:
        """What the line is called in addresses."""
        return line_id(line.key)


def section(look: Look, found: Cost, moment: Moment, *, wait: bool) -> Section:
    """A contract's part of the page; without `wait` what rests on many reports is left for later."""
    catalog = catalog_of(look.store)
    assert catalog is not None, "it has a contract"
    contract = catalog.contracts[found.contract]
    period = found.draft.period
    key = "days", contract.key, period.start, catalog.hash, local_date(period.timezone, moment.now)

    def made(usage: UsageView) -> tuple[MeterDays, ...]:
        return tuple(meter_days(catalog, contract, usage, period, moment.now))

    try:
        meters = look.kept.made(key, moment.now, StoreView(look.store), made, wait=wait)
    except Later:
        meters = None
    return Section(cost=found, title=contract.plan.title or found.plan, meters=meters)


def state_of(day: Day, now: int) -> tuple[str, str]:
    """A day in words, and the class of its mark."""
    if day.deleted:
        return "detail deleted as agreed", "gap"
    if day.quantity is None:
        return "nothing known", "gap"
    if day.end > now:
        return "so far", "today"
    if day.gap_seconds:
        return f"{_hours(day.gap_seconds)} not known", "gap"
    return ("partly estimated", "estimated") if day.estimated else ("metered", "")


def _hours(seconds: int) -> str:
    return f"{seconds // 3_600} h" if seconds >= 3_600 else f"{max(1, seconds // 60)} min"


_LINES: Final = (
    Column(title="Contract", key="contract"),
    Column(title="What", key="charge"),
    Column(title="Kind", key="kind"),
    Column(title="Device", key="device"),
    Column(title="Quantity", key="quantity", number=True),
    Column(title="Unit", key="unit"),
    Column(title="Amount", key="amount", number=True),
    Column(title="Currency", key="currency"),
    Column(title="Why", key="why", wrap=True),
)


def _lines_table(account: str, found: AccountCost) -> Table:
    """Every line as the invoice would print it now."""
    return Table(
        title="Cost so far",
        path=f"/portal/{account}",
        command=f"cloud-collector cost {account}",
        empty="Nothing costs anything yet.",
        columns=_LINES,
        rows=tuple(
            row(
                _LINES,
                Cell(text=each.contract, value=each.contract),
                Cell(text=line.charge, value=line.charge),
                Cell(text=line.kind.value, value=line.kind.value),
                Cell(text=line.device or "", value=line.device),
                Cell(text=plain(line.quantity), value=plain(line.quantity)),
                Cell(text=line.unit, value=line.unit),
                Cell(text=as_written(line.amount), value=as_written(line.amount)),
                Cell(text=each.draft.currency, value=each.draft.currency),
                Cell(text=line.why, value=line.why),
            )
            for each in found.contracts
            for line in each.draft.lines
        ),
    )
