"""Commitments out of their TOML tables: of one kind, with a ramp of the same kind."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from cloud_collector.contracts.catalog import (
    Charge,
    Commitment,
    Committed,
    Cycle,
    Model,
    Pool,
    RampStep,
    TrueUp,
)
from cloud_collector.contracts.node import Fields, Node, choice, integer, number, positive, whole
from cloud_collector.contracts.read_charge import Meters, meter_name

COMMITMENT_KEYS: Final = "amount devices price_per_device meter quantity overage_factor true_up ramp cycle".split()
RAMP_KEYS: Final = ["from_period", *(each.value for each in Committed)]
_OWN_KEYS: Final = {
    "price_per_device": Committed.DEVICES,
    "meter": Committed.QUANTITY,
    "overage_factor": Committed.QUANTITY,
}
_BY_LENGTH: Final = list(Cycle)


def read_commitment(node: Node, meters: Meters, charges: Sequence[Charge], cycle: Cycle) -> Commitment:
    """What the whole contract pays at least; raises CatalogError."""
    fields = Fields.of(node, COMMITMENT_KEYS)
    steps = fields["ramp"].elements() if "ramp" in fields else []
    of = _kind(fields, steps)
    for key, owner in _OWN_KEYS.items():
        if key in fields and owner is not of:
            fields[key].refuse(f"does not belong to a commitment of {of.value}")
    if of is Committed.DEVICES:
        fields.need("price_per_device", number)
    made = Commitment(
        of=of,
        figure=fields.default(of.value, lambda each: _figure(each, of), Decimal(0)),
        ramp=_ramp(steps, of),
        price_per_device=fields.default("price_per_device", number, Decimal(0)),
        meter=fields.need("meter", lambda each: meter_name(each, meters)) if of is Committed.QUANTITY else None,
        overage_factor=fields.default("overage_factor", positive, Decimal(1)),
        true_up=fields.default("true_up", choice(TrueUp), TrueUp.PERIOD),
        cycle=fields.get("cycle", lambda each: _cycle(each, cycle)),
    )
    if of is Committed.QUANTITY:
        _check_charge(node, made, charges)
    return made


def _kind(fields: Fields, steps: Sequence[Node]) -> Committed:
    """By the figure that stands there, or in the steps of the ramp."""
    found = [each for each in Committed if each.value in fields or any(each.value in step.table() for step in steps)]
    if len(found) != 1:
        fields.node.refuse("needs exactly one of amount, devices and quantity")
    return found[0]


def _figure(node: Node, of: Committed) -> Decimal:
    return Decimal(whole(node)) if of is Committed.DEVICES else number(node)


def _ramp(steps: Sequence[Node], of: Committed) -> tuple[RampStep, ...]:
    ramp: list[RampStep] = []
    for step in steps:
        fields = Fields.of(step, ["from_period", of.value])
        first = fields.need("from_period", integer)
        if ramp and first <= ramp[-1].from_period:
            fields["from_period"].refuse(f"steps are out of order: {first} is not after {ramp[-1].from_period}")
        ramp.append(RampStep(from_period=first, figure=fields.need(of.value, lambda each: _figure(each, of))))
    return tuple(ramp)


def _cycle(node: Node, plans: Cycle) -> Cycle:
    cycle = choice(Cycle)(node)
    if _BY_LENGTH.index(cycle) < _BY_LENGTH.index(plans):
        node.refuse(f'is "{cycle.value}", shorter than the plan\'s "{plans.value}"')
    return cycle


def _check_charge(node: Node, commitment: Commitment, charges: Sequence[Charge]) -> None:
    """A quantity is committed of exactly one charge by the unit, which is the contract's."""
    found = [charge for charge in charges if charge.meter == commitment.meter and charge.model is Model.PER_UNIT]
    if len(found) != 1 or found[0].price is None:
        node.refuse(f"needs exactly one charge of {commitment.meter}, per_unit with a price")
    if found[0].pool is Pool.ACCOUNT:
        node.refuse(f'is the contract\'s, and the pool of "{found[0].name}" is the account')
