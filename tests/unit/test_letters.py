"""Letters speak the customer's language, where documents do, and write figures and days as he reads them."""

from collections.abc import Iterator
from decimal import Decimal
from email.message import EmailMessage
from fractions import Fraction
from itertools import product
from typing import Any, Final

import pytest

from cloud_collector.contracts.money import plain
from cloud_collector.insight.warnings import Against, Notice, Side, Threshold, Way, What, said
from cloud_collector.notify.sign_in_letter import sign_in_letter
from cloud_collector.notify.warning_letter import warning_letter
from cloud_collector.notify.warning_words import warning_said

PERIOD: Final = {"start": "2026-10-31T23:00:00Z", "end": "2026-11-30T23:00:00Z"}


def every_notice() -> Iterator[Notice]:
    """Each way to be warned, in money and in devices, and each way to take it back."""
    for against, side, way, what, unit in product(Against, Side, Way, What, ("EUR", "devices", "kWh")):
        threshold = Threshold(against=against, side=side, way=way, percent=Decimal("87.5"))
        for asked in (True, False) if what is What.WITHDRAWN else (True,):
            figure, limit = Fraction(12345678, 1000), Fraction(1000)
            yield Notice(threshold=threshold, what=what, figure=figure, limit=limit, unit=unit, asked=asked)


def told_of(notice: Notice) -> dict[str, Any]:
    """As it is told to programs."""
    threshold = notice.threshold
    return {
        "id": 7,
        "contract": "c-1",
        "account": "acme",
        "period": PERIOD,
        "against": threshold.against.value,
        "side": threshold.side.value,
        "way": threshold.way.value,
        "percent": f"{threshold.percent:f}",
        "what": notice.what.value,
        "at": "2026-11-13T09:30:00Z",
        "figure": plain(notice.figure),
        "threshold": plain(notice.limit),
        "unit": notice.unit,
        "said": said(notice),
    }


def letter(notice: Notice, locale: str | None) -> EmailMessage:
    return warning_letter(
        told_of(notice),
        operator="Strom AG",
        name="Acme",
        locale=locale,
        zone="Europe/Berlin",
        sender="bills@strom.example",
        recipient="anna@acme.example",
        now_ms=1_794_000_000_000,
    )


@pytest.mark.parametrize("notice", list(every_notice()))
def test_the_sentence_in_english_is_the_one_that_programs_get(notice: Notice) -> None:
    """Two sources of one sentence do not drift apart: only how figures are written differs."""
    spoken = warning_said(told_of(notice), None, "en")
    assert spoken.replace("\u00a0", " ").replace("\u202f", "") == said(notice)


@pytest.mark.parametrize("notice", list(every_notice()))
def test_no_english_is_left_in_a_german_warning(notice: Notice) -> None:
    found = letter(notice, "de_DE")
    text = found.get_content()
    assert not {"the", "is", "of", "by", "devices", "Withdrawn", "net"} & set(text.replace(":", " ").split())
    assert "01.11.2026 – 30.11.2026" in text
    assert text.startswith("Guten Tag Acme,")
    assert "." not in found["Subject"].replace("c-1", ""), "87,5 %"


def test_a_warning_is_written_as_its_customer_reads() -> None:
    threshold = Threshold(against=Against.BUDGET, side=Side.OVER, way=Way.ACTUAL, percent=Decimal(80))
    notice = Notice(threshold=threshold, what=What.FIRED, figure=Fraction(84250, 10), limit=Fraction(8000), unit="EUR")
    german, english = letter(notice, "de_DE"), letter(notice, "en_GB")
    assert german["Subject"] == "Mehr als erwartet (80 % des Budgets): c-1"
    sentence = "8.425,00\u00a0€ netto: 80 % des Budgets sind erreicht (8.000,00\u00a0€)."
    assert sentence in german.get_content()
    assert english["Subject"] == "More than expected (80 % of the budget): c-1"
    assert "€8,425.00 net has reached 80 % of the budget, €8,000.00." in english.get_content()
    assert "the contract c-1, 1 Nov 2026 – 30 Nov 2026." in english.get_content()
    assert "8425.00" in said(notice), "programs get it plain"


@pytest.mark.parametrize(
    ("locale", "subject", "sentence"),
    [
        ("de_AT", "Anmelden bei meter.example", "Das geht einmal und 15 Minuten lang."),
        ("fi_FI", "Sign in to meter.example", "It works once, for 15 minutes."),
        (None, "Sign in to meter.example", "It works once, for 15 minutes."),
    ],
)
def test_who_signs_in_is_written_to_in_the_language_of_the_account(
    locale: str | None, subject: str, sentence: str
) -> None:
    told = {"site": "meter.example", "sender": "desk@strom.example", "recipient": "anna@acme.example"}
    found = sign_in_letter("https://meter.example/x", minutes=15, locale=locale, now_ms=0, **told)
    assert found["Subject"] == subject
    assert sentence in found.get_content()
    assert "\nhttps://meter.example/x\n" in found.get_content()
