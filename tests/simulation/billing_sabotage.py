"""Rules of billing, broken one at a time: what an invoice would say if the product read the catalog otherwise."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from unittest.mock import patch

from cloud_collector.activity import first_use
from cloud_collector.activity.lifecycle import Life
from cloud_collector.contracts import week
from cloud_collector.contracts.catalog import Commitment, Window
from cloud_collector.contracts.money import Currency
from cloud_collector.contracts.terms import Terms
from cloud_collector.invoice import compose
from cloud_collector.rating import booking, pool, rate, subscription, tax, usage_charge
from cloud_collector.rating.draft import DraftLine, LineKind, TaxLine
from cloud_collector.rating.segment import Segment

HOUR_MINUTES = 60


@contextlib.contextmanager
def late_delta_dropped() -> Iterator[None]:
    """P1, P14: what comes after its period has closed is billed nowhere."""
    made = compose._rate

    def forgetful(order: compose.Order, task: compose.Task, *rest: Any) -> compose._Rated:
        found = made(order, task, *rest)
        return found if task is order.tasks[0] else replace(found, draft=replace(found.draft, lines=()))

    with patch.object(compose, "_rate", forgetful):
        yield


@contextlib.contextmanager
def allowance_counted_twice() -> Iterator[None]:
    """P17: each device brings its allowance into the pool twice."""
    days_in = Segment.days_in

    def doubled(self: Segment, part: tuple[int, int] | None) -> int:
        return 2 * days_in(self, part)

    with patch.object(pool.Party, "share", property(lambda self: Fraction(doubled(self.segment, self.time)))):
        yield


@contextlib.contextmanager
def shares_rounded_alone() -> Iterator[None]:
    """P17: the parts of what a pool costs are rounded each by itself, and no longer sum to it."""

    def alone(exact: Fraction, parties: Sequence[pool.Party], window: int, currency: Currency) -> list[pool.Shared]:
        shares = shared_out(exact, parties, window, currency)
        return [pool.Shared(exact=each.exact, amount=currency.amount(each.exact)) for each in shares]

    shared_out = pool.shared_out
    with patch.object(usage_charge, "shared_out", alone):
        yield


@contextlib.contextmanager
def ramp_a_step_early() -> Iterator[None]:
    """P14: a ramp's step counts from the period before it."""
    step, has_begun = Commitment.step, Commitment.has_begun

    def early(self: Commitment, number: int) -> Decimal:
        return step(self, number + 1)

    def begun(self: Commitment, number: int) -> bool:
        return has_begun(self, number + 1)

    with patch.object(Commitment, "step", early), patch.object(Commitment, "has_begun", begun):
        yield


@contextlib.contextmanager
def true_up_never_lowered() -> Iterator[None]:
    """P14: what was once missing of a commitment stays billed when late usage makes it good."""
    unbooked = booking.unbooked

    def stubborn(*args: Any, **more: Any) -> tuple[DraftLine, ...]:
        found = unbooked(*args, **more)
        return tuple(line for line in found if line.kind is not LineKind.TRUE_UP or line.amount >= 0)

    with patch.object(rate, "unbooked", stubborn):
        yield


@contextlib.contextmanager
def grace_ignored() -> Iterator[None]:
    """P18: a device that nobody uses never starts."""
    group = first_use._group

    def endless(terms: Terms, *rest: Any) -> Any:
        return group(replace(terms, activation=replace(terms.activation, grace=None)), *rest)

    with patch.object(first_use, "_group", endless):
        yield


@contextlib.contextmanager
def usage_before_the_start_billed() -> Iterator[None]:
    """P18: what was free until the threshold was met is billed once it is."""

    def greedy(self: Segment, life: Life) -> tuple[int, int] | None:
        return None if life.activation is None else self._clip(life.provisioned, life.end)

    with patch.object(Segment, "billed_time", greedy):
        yield


@contextlib.contextmanager
def peak_an_hour_longer() -> Iterator[None]:
    """P17: a window holds for an hour after its end."""
    times_of = week.times_of

    def longer(windows: tuple[Window, ...], *rest: Any) -> Any:
        peak, *others = windows
        moved = (replace(peak, end=peak.end + HOUR_MINUTES), *others)
        return times_of(moved, *rest)

    with patch.object(usage_charge, "times_of", longer):
        yield


@contextlib.contextmanager
def seat_without_use() -> Iterator[None]:
    """P14: a subscription that is due when used is due all the same."""
    with patch.object(subscription, "is_used", lambda *_: True):
        yield


@contextlib.contextmanager
def tax_on_each_line() -> Iterator[None]:
    """P17: taxes are rounded line by line, and not on the sum of the lines."""
    taxes_on = tax.taxes_on

    def each_alone(terms: Terms, lines: Sequence[DraftLine]) -> tuple[TaxLine, ...]:
        whole = taxes_on(terms, lines)
        alone = [tax.amount for line in lines for tax in taxes_on(terms, [line])]
        return tuple(replace(tax, amount=sum(alone, Decimal(0))) for tax in whole)

    with patch.object(rate, "taxes_on", each_alone):
        yield


@contextlib.contextmanager
def suspension_forgotten() -> Iterator[None]:
    """P14: what an operator did to a device never reaches the bill."""
    with patch("cloud_collector.billing.case.changes_for", lambda *_: ()):
        yield


BILLING_SABOTAGES: Final[dict[str, Callable[[], contextlib.AbstractContextManager[None]]]] = {
    "late-delta-dropped": late_delta_dropped,
    "allowance-counted-twice": allowance_counted_twice,
    "shares-rounded-alone": shares_rounded_alone,
    "ramp-a-step-early": ramp_a_step_early,
    "true-up-never-lowered": true_up_never_lowered,
    "grace-ignored": grace_ignored,
    "usage-before-the-start-billed": usage_before_the_start_billed,
    "peak-an-hour-longer": peak_an_hour_longer,
    "seat-without-use": seat_without_use,
    "tax-on-each-line": tax_on_each_line,
    "suspension-forgotten": suspension_forgotten,
}
