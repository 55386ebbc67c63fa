"""The gateway's label: whose key signs here, as words for people and as squares for cameras. Pure.

The customer's trust anchor is what stands on the gateway itself: `verify-invoice --trust` takes the words as
well as the fingerprint. The label bears the key that signs now; later ones follow from it by `rotate` lines.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

Matrix = Sequence[Sequence[int]]
"""Rows of a QR code, 1 where it is dark, without its quiet zone."""
QUIET: Final = 4
"""Modules of white around it (ISO/IEC 18004)."""
WIDTH_MM: Final = 85
HEIGHT_MM: Final = 48
_QR_MM: Final = 40
_WIDE_CHARS: Final = 15
"""A longer name stands smaller, so that it stays on the label."""
_POINTS: Final = 72 / 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a label says."""

    gateway: str
    words: str
    sha256: str

    @property
    def content(self) -> str:
        """What the QR code holds: text that `verify-invoice --trust` and people can use."""
        return f"METERSEAL {self.gateway} {self.sha256}"

    @property
    def lines(self) -> list[tuple[str, int, bool]]:
        """What stands beside the code: text, size in points, bold."""
        words = self.words.split("-")
        half = len(self.sha256) // 2
        quarters = [self.sha256[at : at + half // 2] for at in range(0, len(self.sha256), half // 2)]
        return [
            (self.gateway, 12 if len(self.gateway) <= _WIDE_CHARS else 5, True),
            *(("-".join(words[at : at + 2]), 9, False) for at in range(0, len(words), 2)),
            ("sha-256 of its public key", 5, False),
            *((quarter, 5, False) for quarter in quarters),
            ("Meterseal: check a bill with", 5, False),
            ("verify-invoice --trust", 5, True),
        ]


def in_terminal(matrix: Matrix) -> str:
    """Two rows a line, what is light drawn as blocks: to be shown white on black."""
    size = len(matrix) + 2 * QUIET
    blank = [0] * size
    rows = [*[blank] * QUIET, *([*[0] * QUIET, *row, *[0] * QUIET] for row in matrix), *[blank] * QUIET]
    if len(rows) % 2:
        rows.append(blank)
    blocks = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(blocks[bool(a), bool(b)] for a, b in zip(*pair, strict=True)) for pair in pairs)


def as_svg(label: Label, matrix: Matrix) -> str:
    """The label as a drawing, its sizes in millimetres."""
    module = _QR_MM / (len(matrix) + 2 * QUIET)
    squares = "".join(
        f"M{x * module:.3f} {y * module:.3f}h{module:.3f}v{module:.3f}h-{module:.3f}z" for x, y in _dark(matrix)
    )
    texts, y = "", 9.0
    for text, points, bold in label.lines:
        height = points / _POINTS
        weight = ' font-weight="bold"' if bold else ""
        texts += f'<text x="{_QR_MM + 5}" y="{y:.2f}" font-size="{height:.2f}"{weight}>{escape(text)}</text>\n'
        y += height * 1.3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" font-family="Helvetica, Arial, sans-serif">\n'
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>\n'
        f'<path transform="translate(3 {(HEIGHT_MM - _QR_MM) / 2})" d="{squares}"/>\n{texts}</svg>\n'
    )


def as_pdf(label: Label, matrix: Matrix) -> bytes:
    """The label as a page of its own size. Source: ISO 32000-1, 7.5 (structure), 8.5 (paths), 9.6.2.2 (fonts)."""
    module = _QR_MM / (len(matrix) + 2 * QUIET) * _POINTS
    left, top = 3 * _POINTS, (HEIGHT_MM + _QR_MM) / 2 * _POINTS
    drawn = [
        f"{left + x * module:.3f} {top - (y + 1) * module:.3f} {module:.3f} {module:.3f} re" for x, y in _dark(matrix)
    ]
    y = (HEIGHT_MM - 9) * _POINTS
    drawn.append("f BT")
    for text, points, bold in label.lines:
        safe = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        drawn.append(f"/F{2 if bold else 1} {points} Tf 1 0 0 1 {(_QR_MM + 5) * _POINTS:.2f} {y:.2f} Tm ({safe}) Tj")
        y -= points * 1.3
    drawn.append("ET")
    return _pdf(zlib.compress("\n".join(drawn).encode("latin-1")))


def _dark(matrix: Matrix) -> list[tuple[int, int]]:
    return [(x + QUIET, y + QUIET) for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark]


def _pdf(stream: bytes) -> bytes:
    box = f"[0 0 {WIDTH_MM * _POINTS:.2f} {HEIGHT_MM * _POINTS:.2f}]"
    fonts = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> "
    fonts += "/F2 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources << /Font << {fonts} >> >> >>".encode(
            "ascii"
        ),
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + head + table + tail
