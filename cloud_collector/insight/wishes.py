"""When customers want to be warned, and whom to tell: what they said last counts, before what the catalog says."""

import json
import re
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cloud_collector.contracts.agreed import Warn
from cloud_collector.contracts.catalog import Contract
from cloud_collector.contracts.money import as_written
from cloud_collector.contracts.period import iso
from cloud_collector.store.store import Store
from shared.errors import MetersealError

PERCENTS_MAX: Final = 10
"""Thresholds on each side."""
PERCENT_MAX: Final = 1_000
MAIL_MAX: Final = 10
"""Addresses that hear of a contract's warnings."""
BUDGET_MAX: Final = Decimal(10) ** 12
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


class WishRefused(MetersealError):
    """What was asked for cannot be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a customer asks for of one contract."""

    contract: str
    budget: Decimal | None = None
    """Net a period."""
    over: tuple[Decimal, ...] = ()
    under: tuple[Decimal, ...] = ()
    mail: tuple[str, ...] = ()
    """Beside the account's own address."""
    id: int = 0
    at_ms: int = 0
    who: str = ""

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "contract": self.contract,
            "budget": None if self.budget is None else as_written(self.budget),
            "over": [as_written(each) for each in self.over],
            "under": [as_written(each) for each in self.under],
            "mail": list(self.mail),
            "at": iso(self.at_ms // 1_000) if self.at_ms else None,
            "who": self.who or None,
        }


def read_wish(contract: str, *, budget: str, over: str, under: str, mail: str) -> Wish:
    """What people filled in; raises WishRefused with what is wrong and what to write instead."""
    addresses = tuple(dict.fromkeys(each for each in re.split(r"[\s,;]+", mail) if each))
    wrong = [each for each in addresses if _ADDRESS.fullmatch(each) is None]
    if wrong:
        raise WishRefused(f"{wrong[0][:80]!r} is no e-mail address: write it as name@example.com")
    if len(addresses) > MAIL_MAX:
        raise WishRefused(f"at most {MAIL_MAX} addresses are told; these are {len(addresses)}")
    return Wish(
        contract=contract,
        budget=_budget(budget),
        over=_percents(over, "over"),
        under=_percents(under, "under"),
        mail=addresses,
    )


def keep_wish(store: Store, wish: Wish, *, who: str, now_ms: int) -> None:
    """It counts from now on, and what was asked for before is not forgotten."""
    store.run(
        "wish_add",
        wish.contract,
        None if wish.budget is None else as_written(wish.budget),
        json.dumps([as_written(each) for each in wish.over]),
        json.dumps([as_written(each) for each in wish.under]),
        json.dumps(list(wish.mail)),
        now_ms,
        who,
    )


def wish_of(store: Store, contract: Contract) -> Wish:
    """What counts of a contract: what its customer said last, else what the catalog says."""
    row = store.row("wish_newest", contract.key)
    if row is None:
        warn = contract.warn or Warn()
        return Wish(contract=contract.key, budget=contract.budget, over=warn.over, under=warn.under)
    return _wish(contract.key, row)


def wishes(store: Store, contract: str, limit: int, *, below: int = 2**62) -> list[Wish]:
    """Everything that was asked for, the newest first, with ids below that of a page before."""
    return [_wish(contract, row) for row in store.rows("wishes", contract, below, limit)]


def wished(store: Store, contract: Contract) -> Contract:
    """The contract with the budget and the thresholds that count."""
    row = store.row("wish_newest", contract.key)
    if row is None:
        return contract
    wish = _wish(contract.key, row)
    return replace(contract, budget=wish.budget, warn=Warn(over=wish.over, under=wish.under))


def _wish(contract: str, row: tuple[Any, ...]) -> Wish:
    id_, budget, over, under, mail, at_ms, who = row
    return Wish(
        contract=contract,
        budget=None if budget is None else Decimal(budget),
        over=tuple(Decimal(each) for each in json.loads(over)),
        under=tuple(Decimal(each) for each in json.loads(under)),
        mail=tuple(json.loads(mail)),
        id=id_,
        at_ms=at_ms,
        who=who,
    )


def _budget(text: str) -> Decimal | None:
    if not text.strip():
        return None
    found = _number(text, "the budget")
    if not 0 < found <= BUDGET_MAX:
        raise WishRefused("a budget is more than nothing: leave the field empty for none")
    return found


def _percents(text: str, side: str) -> tuple[Decimal, ...]:
    if (unclear := re.search(r"\d+,\d+", text)) is not None:
        raise WishRefused(
            f"{unclear[0][:20]!r} may be one threshold {side} or two: write 87.5 with a point, or 80 100 with a space"
        )
    parts = [each for each in re.split(r"[\s;,%]+", text) if each]
    found = sorted({_number(each, f"{each[:20]!r}") for each in parts})
    if any(not 0 < each <= PERCENT_MAX for each in found):
        raise WishRefused(f"a threshold {side} lies above 0 and at {PERCENT_MAX} per cent at most")
    if len(found) > PERCENTS_MAX:
        raise WishRefused(f"at most {PERCENTS_MAX} thresholds {side}; these are {len(found)}")
    return tuple(found)


def _number(text: str, what: str) -> Decimal:
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or "e" in text.lower() or len(text) > 24:
        raise WishRefused(f"{what} is no number: write it with a decimal point, such as 120 or 87.5")
    return found
