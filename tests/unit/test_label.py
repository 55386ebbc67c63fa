"""The label bears the key that signs, for people and for cameras."""

import json
import subprocess
import zlib
from pathlib import Path

import segno

from edge_agent.label import HEIGHT_MM, QUIET, WIDTH_MM, Label, as_pdf, as_svg, in_terminal
from shared.key import SigningKey
from tests.processes import ROOT, command

PUBLIC = SigningKey(b"\1" * 32).public
LABEL = Label(gateway="gw-1", words=PUBLIC.words, sha256=PUBLIC.sha256)
MATRIX = [list(row) for row in segno.make(LABEL.content, error="m", micro=False).matrix]


def test_the_code_holds_what_verify_invoice_trusts() -> None:
    """P12: the customer's anchor is on the gateway itself."""
    assert LABEL.content.split() == ["METERSEAL", "gw-1", PUBLIC.sha256]
    assert PUBLIC.words in "-".join(text for text, _, _ in LABEL.lines)


def test_every_dark_square_is_drawn_once_in_each_form() -> None:
    dark = sum(map(sum, MATRIX))
    assert as_svg(LABEL, MATRIX).count("M") - as_svg(LABEL, MATRIX).count(">M") == dark
    pdf = as_pdf(LABEL, MATRIX)
    stream = zlib.decompress(pdf.partition(b"stream\n")[2].partition(b"\nendstream")[0])
    assert stream.count(b" re\n") == dark
    lines = in_terminal(MATRIX).splitlines()
    size = len(MATRIX) + 2 * QUIET
    assert {len(line) for line in lines} == {size}
    light = sum({"█": 2, "▀": 1, "▄": 1, " ": 0}[each] for line in lines for each in line)
    assert light == size * 2 * len(lines) - dark


def test_the_places_of_a_pdfs_objects_are_right() -> None:
    pdf = as_pdf(LABEL, MATRIX)
    table = pdf[int(pdf.rsplit(b"startxref\n", 1)[1].split()[0]) :]
    assert table.startswith(b"xref\n0 5\n")
    for number, row in enumerate(table.splitlines()[3:7], 1):
        assert pdf[int(row[:10]) :].startswith(b"%d 0 obj" % number)
    heights = [points / 72 * 25.4 * 1.3 for _, points, _ in LABEL.lines]
    assert 9 + sum(heights) < HEIGHT_MM, "all of it is on the page"
    long = Label(gateway="g" * 32, words=PUBLIC.words, sha256=PUBLIC.sha256)
    # A bold letter of Helvetica is 0.61 of its size wide on average.
    assert max(len(text) * points * 0.61 for text, points, _ in long.lines + LABEL.lines) / 72 * 25.4 < WIDTH_MM - 45


def test_a_label_is_written_and_never_over_another_file(tmp_path: Path) -> None:
    (tmp_path / "gw.key").write_text(SigningKey(b"\1" * 32).pem, encoding="ascii")
    config = tmp_path / "agent.toml"
    config.write_text('gateway = "gw-1"\nkey_file = "gw.key"\nspool_path = "spool.db"\n', encoding="utf-8")

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        asked = [*command("edge-agent"), "label", "--config", str(config), *more]
        return subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)

    assert PUBLIC.words in run().stdout
    assert json.loads(run("--json").stdout)["sha256"] == PUBLIC.sha256
    files = ("--svg", str(tmp_path / "l.svg"), "--pdf", str(tmp_path / "l.pdf"))
    assert run(*files).returncode == 0
    assert (tmp_path / "l.pdf").read_bytes() == as_pdf(LABEL, MATRIX)
    assert run(*files).returncode == 4
