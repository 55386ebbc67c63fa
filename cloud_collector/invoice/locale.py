"""How an account reads numbers, money and dates on paper and pages; machine exports never pass through here.

Only what they need, for the locales in the table; any other locale gets ISO spelling with a
decimal point, which everybody can read. Nothing is rounded: every digit given is printed.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

_YEAR: Final = re.compile(r",? ?[-/]?%Y[-/]?")
_NBSP: Final = "\u00a0"
_THIN: Final = "\u202f"
_MINUS: Final = "\u2212"
_AFTER: Final = "{number}\u00a0{currency}"
_BEFORE: Final = "{currency}\u00a0{number}"
_TIGHT: Final = "{currency}{number}"
_SYMBOLS: Final = {
    "EUR": "€",
    "GBP": "£",
    "USD": "$",
    "JPY": "¥",
    "INR": "₹",
    "PLN": "zł",
    "SEK": "kr",
    "NOK": "kr",
    "DKK": "kr.",
    "CZK": "Kč",
    "HUF": "Ft",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locale:
    """Separators, where the currency stands, and a date as strftime spells it."""

    decimal: str = "."
    group: str = _THIN
    money: str = _AFTER
    day: str = "%Y-%m-%d"
    symbols: bool = False
    """Whether the currency is written as its symbol."""

    def number(self, text: str) -> str:
        """A decimal string with this locale's separators, digit for digit."""
        sign, digits = (_MINUS, text[1:]) if text.startswith("-") else ("", text)
        whole, point, fraction = digits.partition(".")
        if len(whole) > 3:
            head = len(whole) % 3
            parts = ([whole[:head]] if head else []) + [whole[at : at + 3] for at in range(head, len(whole), 3)]
            whole = self.group.join(parts)
        return sign + whole + (self.decimal + fraction if point else "")

    def amount(self, text: str, currency: str) -> str:
        """A decimal string of a currency."""
        sign, digits = (_MINUS, text[1:]) if text.startswith("-") else ("", text)
        name = _SYMBOLS.get(currency, currency) if self.symbols else currency
        money = _BEFORE if self.money == _TIGHT and name.isalpha() else self.money
        return sign + money.format(number=self.number(digits), currency=name)

    def short(self, day: date) -> str:
        """A local date where its year is plain, as below a chart."""
        return replace(self, day=_YEAR.sub("", self.day)).date(day)

    def date(self, day: date) -> str:
        """A local date."""
        text = day.strftime(self.day)
        # strftime has no portable day and month without a leading zero.
        return text.replace("{d}", str(day.day)).replace("{m}", str(day.month))

    def moment(self, instant: datetime, zone: str) -> str:
        """An instant in a zone, to the minute, or to the second where it has one."""
        local = instant.astimezone(ZoneInfo(zone))
        return (
            f"{self.date(local.date())} {local:%H:%M:%S}"
            if local.second
            else f"{self.date(local.date())} {local:%H:%M}"
        )


_PLAIN: Final = Locale()
_DOTS: Final = "{d}.{m}.%Y"
_BY_LANGUAGE: Final = {
    "cs": Locale(decimal=",", group=_NBSP, money=_AFTER, day=_DOTS, symbols=True),
    "da": Locale(decimal=",", group=".", money=_AFTER, day="%d.%m.%Y", symbols=True),
    "de": Locale(decimal=",", group=".", money=_AFTER, day="%d.%m.%Y", symbols=True),
    "en": Locale(decimal=".", group=",", money=_TIGHT, day="{d} %b %Y", symbols=True),
    "es": Locale(decimal=",", group=".", money=_AFTER, day="%d/%m/%Y", symbols=True),
    "et": Locale(decimal=",", group=_NBSP, money=_AFTER, day="%d.%m.%Y", symbols=True),
    "fi": Locale(decimal=",", group=_NBSP, money=_AFTER, day=_DOTS, symbols=True),
    "fr": Locale(decimal=",", group=_THIN, money=_AFTER, day="%d/%m/%Y", symbols=True),
    "it": Locale(decimal=",", group=".", money=_AFTER, day="%d/%m/%Y", symbols=True),
    "ja": Locale(decimal=".", group=",", money=_TIGHT, day="%Y/%m/%d", symbols=True),
    "nb": Locale(decimal=",", group=_NBSP, money=_AFTER, day=_DOTS, symbols=True),
    "nl": Locale(decimal=",", group=".", money=_BEFORE, day="%d-%m-%Y", symbols=True),
    "pl": Locale(decimal=",", group=_NBSP, money=_AFTER, day="%d.%m.%Y", symbols=True),
    "pt": Locale(decimal=",", group=".", money=_AFTER, day="%d/%m/%Y", symbols=True),
    "sv": Locale(decimal=",", group=_NBSP, money=_AFTER, day="%Y-%m-%d", symbols=True),
}
_BY_NAME: Final = {
    "de_AT": Locale(decimal=",", group=_NBSP, money=_BEFORE, day="%d.%m.%Y", symbols=True),
    "de_CH": Locale(decimal=".", group="’", money=_BEFORE, day="%d.%m.%Y"),
    "fr_CH": Locale(decimal=".", group="’", money=_BEFORE, day="%d.%m.%Y"),
    "it_CH": Locale(decimal=".", group="’", money=_BEFORE, day="%d.%m.%Y"),
    "en_US": Locale(decimal=".", group=",", money=_TIGHT, day="%b {d}, %Y", symbols=True),
    "en_FI": Locale(decimal=",", group=_NBSP, money=_AFTER, day=_DOTS, symbols=True),
}


def locale_named(name: str | None) -> Locale:
    """The locale `fi_FI`, else its language's, else plain ISO."""
    if name is None:
        return _PLAIN
    return _BY_NAME.get(name) or _BY_LANGUAGE.get(name.partition("_")[0], _PLAIN)
