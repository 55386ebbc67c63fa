"""What an invoice states that nothing else in its bundle can tell: read back from the sealed body.

Pure. Its number, kind and time, what had been received, what was booked before. Everything else of the
body is composed anew and compared.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from cloud_collector.activity.activation import Activation, ActivationCause, StateChange
from cloud_collector.contracts.catalog import Catalog, State
from cloud_collector.contracts.revision import Revision
from cloud_collector.invoice.basis import Booked, Cutoff
from cloud_collector.invoice.compose import Order, Stated, Task
from cloud_collector.invoice.document import InvoiceKind, Issue
from cloud_collector.proof.evidence import received_of
from shared.errors import Refused
from shared.line import Body

_Made = TypeVar("_Made")


def order_of(body: Body, catalogs: dict[int, Catalog]) -> Order | Refused:
    """What the billing run was asked to compose."""
    return _read(lambda: _order(body, catalogs))


def issue_of(body: Body, newest: Catalog) -> Issue | Refused:
    """What was settled in the moment of issuing."""
    return _read(lambda: _issue(body, newest))


def cutoff_of(body: Body) -> Cutoff | Refused:
    """What had been received."""
    return _read(lambda: _cutoff(body))


def _read(make: Callable[[], _Made]) -> _Made | Refused:
    try:
        return make()
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        return Refused(f"the invoice does not say what an invoice says: {type(error).__name__} {error}")


def _order(body: Body, catalogs: dict[int, Catalog]) -> Order:
    revisions = {
        number: Revision(number=number, effective_at=0, read=partial(catalogs.__getitem__, number))
        for number in catalogs
    }
    tasks = tuple(
        Task(
            period_start=_instant(rated["period"]["start"]),
            plans=revisions[rated["plans"]],
            after=None if rated["after"] is None else revisions[rated["after"]],
        )
        for rated in body["rated"]
    )
    if not tasks:
        raise ValueError("it rates no period")
    anchored = body["anchored"]
    return Order(
        contract=_text(body["contract"]),
        tasks=tasks,
        newest=revisions[body["catalog"][0]["revision"]],
        cadence=revisions[body["cadence"]],
        anchored=None if anchored is None else date.fromisoformat(anchored),
        booked=tuple(
            Booked(number=_text(row["number"]), line=row["line"]) for rated in body["rated"] for row in rated["booked"]
        ),
        billed_at=_instant(body["issued_at"]),
        stated=tuple(_stated(row) for row in body["stated"]),
        states=tuple(_state(row) for row in body.get("states", ())),
        silent=_silent(body),
        seen_until=_instant(body["seen_until"]) if "seen_until" in body else None,
    )


def _stated(row: list[Any]) -> Stated:
    number, contract, device, at, cause, why = (_text(value) for value in row)
    activation = Activation(device=device, at=_instant(at), cause=ActivationCause(cause), why=why)
    return Stated(number=number, contract=contract, activation=activation)


def _state(row: list[Any]) -> StateChange:
    device, state, at = (_text(value) for value in row)
    return StateChange(device=device, state=State(state), at=_instant(at))


def _issue(body: Body, newest: Catalog) -> Issue:
    return Issue(
        key=_text(body["key"]),
        number=_text(body["number"]),
        kind=InvoiceKind(body["kind"]),
        revision=_integer(body["revision"]),
        issued_at=_instant(body["issued_at"]),
        operator=newest.operator,
        account=newest.accounts[newest.contracts[body["contract"]].account],
        cutoff=_cutoff(body),
        engine=_text(body["engine"]),
        tzdata=_text(body["tzdata"]),
        offsets=tuple((_text(number), _amount(amount)) for number, amount in body.get("offsets", ())),
    )


def _cutoff(body: Body) -> Cutoff:
    stated = body["cutoff"]
    return Cutoff(
        measured_until=_instant(stated["measured_until"]),
        received_until=_milliseconds(stated["received_until"]),
        received=tuple(received_of(body).values()),
        also=tuple((_text(a), _text(b), _text(c), _integer(d), _integer(e)) for a, b, c, d, e in stated["also"]),
        carried=tuple((_text(a), _text(b), _text(c)) for a, b, c in stated["carried"]),
        silent=_silent(body),
        moved=tuple((_text(a), _text(b), _text(c), _integer(d), _integer(e)) for a, b, c, d, e in stated["moved"]),
        boots=tuple((_text(a), _text(b), _text(c), _integer(d)) for a, b, c, d in stated["boots"]),
        strangers=tuple((_text(a), _text(b), _text(c), _integer(d)) for a, b, c, d in stated.get("strangers", ())),
        skew_seconds=_integer(stated["skew_seconds"]),
        rates_max={_text(unit): _integer(rate) for unit, rate in stated["rates_max"].items()},
    )


def _silent(body: Body) -> dict[str, int | None]:
    return {_text(name): None if until is None else _instant(until) for name, until in body["cutoff"]["silent"]}


def _amount(value: Any) -> Decimal:
    found = Decimal(_text(value))
    if not found.is_finite() or found <= 0:
        raise ValueError(f"credit of {value}")
    return found


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _milliseconds(text: str) -> int:
    head, _, fraction = text.removesuffix("Z").partition(".")
    return _instant(head + "Z") * 1000 + int(fraction)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value
