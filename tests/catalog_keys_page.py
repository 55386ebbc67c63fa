"""docs/reference/catalog-keys.md: each key of the catalog with an example and what it changes, as it is rated now.

`python -m tests.catalog_keys_page` writes it.
"""

from pathlib import Path
from typing import Any, Final

from tests.catalog_keys import CHANGES, Change
from tests.catalog_keys_billed import BILLED, Billed
from tests.quoting import quoted

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "catalog-keys.md"
_HEADINGS: Final = {
    "catalog": "Sections",
    "operator": "`[operator]`",
    "meter": "`[meters.NAME]`",
    "account": "`[accounts.NAME]`",
    "data": "`[accounts.NAME.data]`",
    "plan": "`[plans.NAME]`",
    "activation": "`[plans.NAME.activation]`",
    "threshold": "Thresholds of `any` and `all`",
    "charge": "`[[plans.NAME.charges]]`",
    "used_when": "`used_when`",
    "state_price": "`state_prices`",
    "tier": "`tiers`",
    "window": "`windows`",
    "commitment": "`[plans.NAME.commitment]`",
    "ramp": "`ramp`",
    "tax": "`[[plans.NAME.taxes]]`",
    "contract": "`[contracts.NAME]`",
    "device": "`devices`",
    "override": "`overrides`",
    "amendment": "`[[contracts.NAME.amendments]]`",
    "warn": "`warn`",
}
_SHOWN_CHARS: Final = 72
_HEAD: Final = """# What each key of the catalog changes

For every key of [the catalog](catalog.md) an example in which it is changed or left out, and what that makes of the
answer. The page is written from the tests, by `python -m tests.catalog_keys_page`; a test fails where a key has no
example, where an example changes nothing, and where this page says something else than what is rated now.

Where nothing else is said, it is what `cloud-collector quote` answers for October 2026 and the contract of one device,
`gw/a`, which used 12.5 kWh on the 5th and 40 kWh on the 20th: first with the key as it stands in the example, then with
the key changed. `warn` and `[accounts.NAME.data]` are agreed and shown; they change no amount.
"""


def answers(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    """The quotes with the key as it stands in the example, and changed."""
    changed = change.text.replace(change.old, change.new, 1)
    before, after = (quoted(text, *change.rows, **change.more).to_json() for text in (change.text, changed))
    return before, after


def effect(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The first thing that a customer sees to be another: the total, else a line's figure, date or name."""
    totals = [f"{answer['total']} {answer['currency']}" for answer in (before, after)]
    if totals[0] != totals[1]:
        return f"{totals[0]} → {totals[1]}"
    for key in ("start", "end", "timezone"):
        if before["period"][key] != after["period"][key]:
            return f"{key} {before['period'][key]} → {after['period'][key]}"
    for tax, other in zip(before["taxes"], after["taxes"], strict=False):
        for key, value in tax.items():
            if value != other[key]:
                return f"tax {key} {value} → {other[key]}"
    if len(before["lines"]) != len(after["lines"]):
        return f"{len(before['lines'])} lines → {len(after['lines'])} lines"
    for line, other in zip(before["lines"], after["lines"], strict=True):
        for key in ("charge", "kind", "device", "window", "quantity", "unit", "amount", "service_start", "service_end"):
            if line[key] != other[key]:
                return f"{key.replace('_', ' ')} {line[key]} → {other[key]}"
    return ""


def text_of_page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for section, heading in _HEADINGS.items():
        rows = [(key, _said(change), effect(*answers(change))) for key, change in CHANGES.get(section, {}).items()]
        rows += [(key, _said(change), _billed(change)) for key, change in BILLED.get(section, {}).items()]
        parts.append(f"\n## {heading}\n\n| key | the example | what it changes |\n|---|---|---|\n")
        parts += [f"| `{key}` | {said} | {told} |\n" for key, said, told in rows]
    return "".join(parts)


def _said(change: Change | Billed) -> str:
    old, new = (_code(text) for text in (change.old, change.new))
    return f"{old} → {new}" if new else f"{old} left out"


def _code(text: str) -> str:
    """A snippet on one line."""
    flat = " ⏎ ".join(line.strip() for line in text.strip().strip(",").splitlines())
    short = flat if len(flat) <= _SHOWN_CHARS else f"{flat[:_SHOWN_CHARS]}…"
    return f"`{short.strip().replace('|', '/')}`" if short else ""


def _billed(change: Billed) -> str:
    changed = change.text.replace(change.old, change.new)
    before, after = (_value(change.shows(text)) for text in (change.text, changed))
    return f"{change.where}: {before} → {after}"


def _value(value: Any) -> str:
    text = "nothing" if value is None or value == [] else str(value)
    text = text.replace("|", "/").replace("<", "&lt;")
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


if __name__ == "__main__":
    PAGE.write_text(text_of_page(), encoding="utf-8")
