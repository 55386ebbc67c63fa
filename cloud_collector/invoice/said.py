"""How an invoice's figures are said to its reader: money, numbers, moments and stretches of time, as plain text."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from cloud_collector.contracts.money import exponent_of
from cloud_collector.invoice.locale import Locale, locale_named
from shared.line import Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One account's way of reading, and the zone that its periods are cut in."""

    locale: Locale
    zone: ZoneInfo
    currency: str

    @classmethod
    def of(cls, body: Body) -> "Said":
        """As the invoice's account reads."""
        return cls(
            locale=locale_named(body["account"].get("locale")),
            zone=ZoneInfo(body["period"]["timezone"]),
            currency=body["currency"],
        )

    def money(self, text: str) -> str:
        """Every digit given, and at least the currency's own decimals."""
        whole, _, fraction = text.partition(".")
        fraction = fraction.ljust(exponent_of(self.currency), "0")
        return self.locale.amount(f"{whole}.{fraction}" if fraction else whole, self.currency)

    def number(self, text: str) -> str:
        """A decimal string, digit for digit."""
        return self.locale.number(text)

    def counter(self, value: int, exponent: int) -> str:
        """A register in its meter's unit."""
        return self.locale.number(format(Decimal(value).scaleb(exponent), "f"))

    def moment(self, text: str) -> str:
        """An instant, to the minute."""
        return self.locale.moment(_instant(text), self.zone.key)

    def day(self, text: str) -> str:
        """The local day of an instant."""
        return self.locale.date(_instant(text).astimezone(self.zone).date())

    def date(self, text: str) -> str:
        """A local date."""
        return self.locale.date(date.fromisoformat(text))

    def span(self, start: str, end: str) -> str:
        """Half-open instants as people read them: first and last day, or moments where no midnight bounds them."""
        first, last = (_instant(text).astimezone(self.zone) for text in (start, end))
        if first == last:
            return self.locale.moment(first, self.zone.key)
        if not (_is_midnight(first) and _is_midnight(last)):
            return f"{self.moment(start)} – {self.moment(end)}"
        closing = last.date() - timedelta(days=1)
        if closing == first.date():
            return self.locale.date(closing)
        return f"{self.locale.date(first.date())} – {self.locale.date(closing)}"


def payable(body: Body) -> str:
    """What is left to pay: the total, less credit that the account had."""
    found: str = body["payable"] if "offsets" in body else body["total"]
    return found


def iban_grouped(iban: str) -> str:
    """An IBAN as people copy it, in fours."""
    compact = iban.replace(" ", "")
    return " ".join(compact[at : at + 4] for at in range(0, len(compact), 4))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _is_midnight(local: datetime) -> bool:
    return (local - timedelta(seconds=1)).date() != local.date()
