"""Anyone can check a line with shell tools and openssl, exactly as the user documentation shows (P12)."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.requirements import require
from tests.unit.wire_samples import GATEWAY_KEY, GOLDEN

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "check-a-line-with-openssl.md"


def _commands() -> str:
    blocks = re.findall(r"```sh\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks, "the page has commands"
    return "\n".join(blocks)


def _run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    require("openssl")
    (folder / "line.ms").write_text(line, encoding="ascii")
    (folder / "gateway.pem").write_text(GATEWAY_KEY.public.pem, encoding="ascii")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _commands()], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("ending", ["", "\n"])
def test_the_documented_commands_verify_a_golden_line(tmp_path: Path, ending: str) -> None:
    done = _run(tmp_path, GOLDEN["reports"][1] + ending)
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert GOLDEN["hashes"][1] in done.stdout
    assert GATEWAY_KEY.public.sha256 in done.stdout


def test_the_documented_commands_refuse_a_changed_line(tmp_path: Path) -> None:
    """P11: one more unit, and openssl says so."""
    done = _run(tmp_path, GOLDEN["reports"][1].replace("[11,12,", "[12,12,"))
    assert done.returncode != 0
    assert "Verified Successfully" not in done.stdout
