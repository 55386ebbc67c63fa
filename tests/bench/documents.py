"""Documents: PDFs with the electronic invoice inside, a second of one core.

The invoices are those of a site of ten devices with three charges each, every one to another customer and with other
amounts, so that nothing that was laid out before can be taken again as a whole.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from cloud_collector.invoice.einvoice import cii, ubl
from cloud_collector.invoice.pdf import pdf
from shared.line import Body
from tests.bench.figure import Figure, Say
from tests.paper import WORDS, long
from tests.paper import regular as golden

LINES: Final = 30
WARM: Final = 2
"""Documents before the clock runs: fonts and schemas are read with the first."""


def documents(say: Say, *, invoices: int) -> list[Figure]:
    """How many of each form a core writes in a second."""
    say("writing PDFs")
    site = _numbered(long(LINES), invoices + WARM)
    small = _numbered(golden(), invoices + WARM)
    large = _numbered(long(300), max(1, invoices // 10) + WARM)

    def figure(name: str, bodies: Sequence[Body], write: Callable[[Body], bytes], goal: float | None = None) -> Figure:
        rate, size = _rate(bodies, write)
        note = f"{len(bodies) - WARM} invoices of {len(bodies[0]['lines'])} lines, {size // 1000} kB each"
        return Figure(room="documents", name=name, value=rate, unit="/s", least=goal, note=note)

    return [
        figure("PDF/A-3 with EN 16931 a second of a core", site, _pdf, 20),
        figure("the same, a small invoice", small, _pdf),
        figure("the same, a large one", large, _pdf),
        figure("EN 16931 as CII, checked by schema", site, cii),
        figure("EN 16931 as UBL, checked by schema", site, ubl),
    ]


def _pdf(body: Body) -> bytes:
    return pdf(body, key_words=WORDS)


def _numbered(body: Body, count: int) -> list[Body]:
    """The same invoice to so many customers, none of whose lines cost the same."""
    found = []
    for number in range(count):
        lines = [line | {"amount": f"{number}.{place % 100:02d}"} for place, line in enumerate(body["lines"])]
        account = body["account"] | {"name": f"Customer {number}"}
        found.append(body | {"number": f"INV-{number}", "account": account, "lines": lines})
    return found


def _rate(bodies: Sequence[Body], write: Callable[[Body], bytes]) -> tuple[float, int]:
    sizes = [len(write(body)) for body in bodies[:WARM]]
    began = time.process_time()
    sizes += [len(write(body)) for body in bodies[WARM:]]
    return (len(bodies) - WARM) / (time.process_time() - began), sum(sizes) // len(sizes)
