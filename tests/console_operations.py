"""Which operations of the API give what each route of the operators' pages shows or does; or why there are none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Same:
    """The operations with a page's facts; and names in its JSON that they say otherwise, or that are a page's own."""

    operations: tuple[str, ...]
    otherwise: Mapping[str, str]


def same(*operations: str, **otherwise: str) -> Same:
    return Same(operations, otherwise)


CONSOLE: Final[Mapping[str, Same | str]] = {
    "GET /": same(
        "GET /overview",
        what="each figure has a name",
        note="`last_line_at` and `standings` say it",
        link="where a page leads",
    ),
    "GET /gateways": same("GET /gateways", "GET /overview"),
    "GET /gateways/{gateway}": same("GET /gateways/{gateway}", device="with its gateway before it"),
    "POST /gateways/{gateway}/resend": same("POST /gateways/{gateway}/resend"),
    "POST /gateways/{gateway}/read": same("POST /gateways/{gateway}/read"),
    "GET /devices": same("GET /standings", total="as long as the list is"),
    "GET /devices/{gateway}/{device}": same(
        "GET /devices/{gateway}/{device}",
        "GET /devices/{gateway}/{device}/timeline",
        "GET /devices/{gateway}/{device}/curves",
    ),
    "GET /devices/{gateway}/{device}/usage": same("GET /devices/{gateway}/{device}/curves"),
    "POST /devices/{gateway}/{device}/state": same("POST /devices/{gateway}/{device}/state"),
    "GET /accounts": same("GET /ledger"),
    "GET /accounts/{account}": same(
        "GET /accounts/{account}",
        "GET /accounts/{account}/cost",
        "GET /ledger",
        "GET /contracts",
        "GET /invoices",
        "GET /warnings",
    ),
    "GET /contracts": same("GET /contracts"),
    "GET /contracts/{contract}": same(
        "GET /contracts/{contract}",
        "GET /contracts/{contract}/plan",
        "GET /contracts/{contract}/cost",
        "GET /contracts/{contract}/devices",
        "POST /catalog/what-if",
    ),
    "GET /billing": same(
        "GET /billing",
        "GET /billing/drafts",
        "GET /billing/parked",
        "GET /billing/runs",
        contracts="empty, where it is of all",
    ),
    "GET /billing/preview": same("GET /billing/preview"),
    "POST /billing/prepare": same("POST /billing/drafts"),
    "POST /billing/approve": same("POST /billing/runs/{run}/approve"),
    "POST /billing/run": same("POST /billing/runs"),
    "POST /billing/resume": same("POST /billing/resume"),
    "POST /billing/retry": same("POST /billing/retry"),
    "GET /invoices": same("GET /invoices", id="a document is named by its number"),
    "GET /invoices/{number}": same(
        "GET /invoices/{number}", "GET /invoices/{number}/life", "GET /invoices/{number}/{form}"
    ),
    "GET /invoices/{number}/paper": same("GET /invoices/{number}/{form}"),
    "GET /invoices/{number}/documents/{form}": same("GET /invoices/{number}/{form}"),
    "GET /invoices/{number}/body.json": same("GET /invoices/{number}/{form}"),
    "POST /invoices/{number}/paid": same("POST /invoices/{number}/payments"),
    "POST /invoices/{number}/void": same("POST /invoices/{number}/void"),
    "POST /invoices/{number}/rebill": same("POST /invoices/{number}/rebill"),
    "GET /warnings": same("GET /warnings", "GET /contracts/{contract}/warnings"),
    "GET /alarms": same("GET /alarms"),
    "GET /unmatched": same("GET /unmatched", "GET /unmatched/blocked"),
    "POST /unmatched/accept": same("POST /unmatched/accept"),
    "POST /unmatched/assign": same("POST /unmatched/assign"),
    "POST /unmatched/block": same("POST /unmatched/block"),
    "POST /unmatched/unblock": same("POST /unmatched/unblock"),
    "GET /audit": same("GET /audit"),
    "GET /events": same("GET /events"),
}
"""What operators see and do."""
ELSEWHERE: Final[Mapping[str, str]] = {
    "GET /healthz": "for whoever keeps the process alive",
    "GET /readyz": "the same",
    "GET /metrics": "for Prometheus, in its own words",
    "GET /openapi.json": "says that pages are described here",
    "GET /static/{name:path}": "what pages are made of",
    "POST /theme": "light or dark, in this browser",
    "GET /sign-in": "a program shows a token",
    "POST /sign-in": "the same",
    "GET /sign-in/link/{secret}": "the same",
    "POST /sign-in/link/{secret}": "the same",
    "GET /sign-in/provider": "the same",
    "GET /sign-in/provider/back": "the same",
    "GET /sign-out": "what a browser carries; a token is revoked by `cloud-collector token revoke`",
    "POST /sign-out": "the same",
    "GET /sessions": "a person's own browsers, which a token has none of",
    "POST /sessions/{id}/end": "the same",
}
"""What is neither shown of anything nor done to it, and why no program asks for it."""
