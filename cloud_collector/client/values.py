"""How single values travel: money and quantities as decimal text, instants in UTC as RFC 3339 writes them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, WithJsonSchema

DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"


def _text(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value


Money = Annotated[
    Decimal,
    PlainSerializer(_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN, "examples": ["95.75"]}),
]
"""An amount in the currency that stands beside it; never a float."""
Quantity = Annotated[
    Decimal,
    PlainSerializer(_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN, "examples": ["413.2"]}),
]
"""So much of the unit that stands beside it."""
Instant = Annotated[
    datetime, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-10-01T00:00:00Z"]})
]
"""A whole second, in UTC."""
Zone = Annotated[str, Field(examples=["Europe/Helsinki"])]
"""A zone of the IANA database."""
Currency = Annotated[str, Field(examples=["EUR"])]
Unit = Annotated[str, Field(examples=["kWh"])]
"""As UCUM spells it; `1` is a number of things."""
Account = Annotated[str, Field(examples=["acme"])]
Contract = Annotated[str, Field(examples=["acme-chargers"])]
Device = Annotated[str, Field(examples=["roof-1/sdm630-1"])]
"""`gateway/device`."""
Gateway = Annotated[str, Field(examples=["roof-1"])]
Number = Annotated[str, Field(examples=["INV-7"])]
"""An issued document's number."""
