"""A warning in its customer's words, figures written as he reads them; programs get `said`. Pure."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from cloud_collector.contracts.money import CURRENCIES, Rounding, exponent_of, rounded
from cloud_collector.insight.warnings import UNASKED
from cloud_collector.invoice.locale import locale_named
from cloud_collector.invoice.wording import language_of, languages


def warning_said(told: Mapping[str, Any], locale: str | None, language: str | None = None) -> str:
    """The warning in a sentence, in the language of the locale where no other is named."""
    words = words_of(locale, language)
    share = share_of(told, locale, language)
    figure, limit = (_amount(told[name], told["unit"], locale, words) for name in ("figure", "threshold"))
    if told["said"].startswith(UNASKED):
        return words["warn_unasked"].format(share=share)
    if told["what"] == "withdrawn":
        return words[f"warn_gone_{_way(told)}"].format(share=share, figure=figure)
    if told["way"] == "actual" and told["unit"] in CURRENCIES:
        figure = words["warn_net"].format(figure=figure)
    return words[f"warn_{_way(told)}"].format(share=share, figure=figure, limit=limit)


def share_of(told: Mapping[str, Any], locale: str | None, language: str | None = None) -> str:
    """So many per cent of what the figure is measured by."""
    percent = locale_named(locale).number(told["percent"])
    return words_of(locale, language)[f"warn_of_{told['against']}"].format(percent=percent)


def words_of(locale: str | None, language: str | None = None) -> Mapping[str, str]:
    """The words of a language, else of the one that the locale names."""
    return languages()[language or language_of(locale)]


def _way(told: Mapping[str, Any]) -> str:
    return f"{told['side']}_ahead" if told["way"] == "projected" else told["side"]


def _amount(value: str, unit: str, locale: str | None, words: Mapping[str, str]) -> str:
    """A figure with its unit; money to its currency's decimals."""
    people = locale_named(locale)
    if unit in CURRENCIES:
        return people.amount(f"{rounded(Fraction(value), exponent_of(unit), Rounding.HALF_UP):f}", unit)
    return f"{people.number(value)} {words['warn_devices'] if unit == 'devices' else unit}"
