"""A plan in plain words: what it charges for, from when on, what is promised. Pure; every figure as it is written."""

from collections.abc import Iterator
from decimal import Decimal

from cloud_collector.contracts.catalog import (
    ActivationRule,
    Charge,
    ChargeType,
    Commitment,
    Committed,
    Model,
    Per,
    Plan,
    Pool,
    StartRule,
    Threshold,
    Tier,
    TrueUp,
)
from cloud_collector.contracts.money import as_written

_MODELS = {
    Model.VOLUME: "; all of it at the price of the tier that the whole reaches",
    Model.GRADUATED: "; each part at the price of its own tier",
}


def plan_words(plan: Plan, currency: str) -> list[str]:
    """One sentence for each thing that the plan says."""
    found = [f"Billed every {plan.cycle.value}, {plan.settle or 'at once'} after it has ended."]
    found += [_activation(plan.activation)]
    found += [f"{charge.name}: {_charge(charge, currency)}." for charge in plan.charges]
    if plan.commitment is not None:
        found += [_commitment(plan.commitment, currency)]
    found += [
        f"{tax.name}: {tax.percent:f} %{' on ' + ', '.join(tax.charges) if tax.charges else ''}." for tax in plan.taxes
    ]
    return found


def _activation(rule: ActivationRule) -> str:
    match rule.rule:
        case StartRule.IMMEDIATE:
            return "A device is billed from the day on which it belongs to the contract."
        case StartRule.DATE:
            return f"Devices are billed from {rule.on} on."
        case StartRule.FIRST_USE:
            pass
    joined = " or ".join(_threshold(each) for each in rule.any) or " and ".join(_threshold(each) for each in rule.all)
    of = "all devices together reach" if rule.combine is Per.CONTRACT else "it reaches"
    grace = f", and {rule.grace} after it was provisioned all the same" if rule.grace is not None else ""
    return f"A device is billed from its first use on: when {of} {joined or 'any use'}{grace}."


def _threshold(each: Threshold) -> str:
    within = f" within {each.within}" if each.within is not None else ""
    if each.at_least is not None:
        return f"{as_written(each.at_least)} of {each.meter or 'its meter'}{within}"
    if each.active_days is not None:
        return f"{each.active_days} days of use{within}"
    return f"{each.reports} reports{within}"


def _charge(charge: Charge, currency: str) -> str:
    match charge.type:
        case ChargeType.SUBSCRIPTION:
            said = ", ".join(_subscription(charge, currency))
        case ChargeType.ONE_TIME:
            on = "once" if charge.on is None else f"once, when {charge.on.value.replace('_', ' ')}"
            said = f"{_money(charge.price, currency)} {on}"
        case ChargeType.USAGE:
            said = ", ".join(_usage(charge, currency))
    return said + (f", less {as_written(charge.discount_percent)} %" if charge.discount_percent else "")


def _subscription(charge: Charge, currency: str) -> Iterator[str]:
    whom = "each device" if charge.per is Per.DEVICE else "the contract"
    yield f"{_money(charge.price, currency)} a period for {whom}"
    if charge.when_used:
        yield "only where it was used in the period"
    if charge.in_advance:
        yield "in advance"
    for state, price in charge.state_prices.items():
        yield f"{_money(price, currency)} while {state.value}"


def _usage(charge: Charge, currency: str) -> Iterator[str]:
    meter = charge.meter or "usage"
    if charge.windows:
        yield f"{meter} at " + ", ".join(f"{_money(each.price, currency)} in {each.name}" for each in charge.windows)
    elif charge.tiers:
        yield f"{meter} at {_tiers(charge.tiers, currency)}{_MODELS.get(charge.model or Model.PER_UNIT, '')}"
    elif charge.rate is not None:
        yield f"{as_written(charge.rate)} % of {meter}"
    elif charge.size is not None:
        yield f"{_money(charge.price, currency)} for every {as_written(charge.size)} of {meter} begun"
    else:
        yield f"{meter} at {_money(charge.price, currency)} a unit"
    if charge.included:
        yield f"{as_written(charge.included)} of it included"
    if charge.pool in {Pool.CONTRACT, Pool.ACCOUNT}:
        yield f"added up over the {charge.pool.value}"
    if charge.minimum is not None:
        yield f"at least {_money(charge.minimum, currency)}"
    if charge.maximum is not None:
        yield f"at most {_money(charge.maximum, currency)}"


def _tiers(tiers: tuple[Tier, ...], currency: str) -> str:
    said = []
    for each in tiers:
        upto = "beyond" if each.up_to is None else f"up to {as_written(each.up_to)}"
        flat = f" and {_money(each.flat, currency)} flat" if each.flat else ""
        said.append(f"{_money(each.price, currency)} {upto}{flat}")
    return ", ".join(said)


def _commitment(commitment: Commitment, currency: str) -> str:
    unit = {Committed.AMOUNT: currency, Committed.DEVICES: "used devices", Committed.QUANTITY: commitment.meter or ""}
    of = unit[commitment.of]
    steps = ", ".join(f"{as_written(step.figure)} {of} from period {step.from_period} on" for step in commitment.ramp)
    least = steps or f"{as_written(commitment.figure)} {of}"
    then = {
        TrueUp.PERIOD: "what is missing is billed with each period",
        TrueUp.TERM: "what is missing is billed at the end of the term",
        TrueUp.NONE: "what is missing is not billed",
    }
    return f"At least {least} a {commitment.cycle.value if commitment.cycle else 'period'}: {then[commitment.true_up]}."


def _money(amount: Decimal | None, currency: str) -> str:
    return f"{as_written(amount or Decimal(0))} {currency}"
