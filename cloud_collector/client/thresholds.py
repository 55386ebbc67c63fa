"""When a customer wants to be warned, and who is told."""

from dataclasses import dataclass

from cloud_collector.client.values import Contract, Instant, Money, Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts of a contract: what its customer asked for last, else what the catalog says."""

    contract: Contract
    budget: Money | None
    """Net a period; null: none."""
    over: list[Quantity]
    """Per cent of budget, commitment or normal, above which somebody is warned."""
    under: list[Quantity]
    mail: list[str]
    """Who is told beside the account's own address."""
    at: Instant | None
    """When it was asked for; null: the catalog says so."""
    who: str | None
