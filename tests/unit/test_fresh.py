"""Files for people: whole or not there, never over another one, and a sentence for every reason."""

import resource
import subprocess
from pathlib import Path

import pytest

from edge_agent.cli.fresh import FileThere, NotWritten, put_new
from edge_agent.cli.main import main
from tests.processes import ROOT, command


def test_a_file_that_is_there_stays_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "label.svg"
    put_new(file, b"one")
    with pytest.raises(FileThere, match="name another file, or remove it"):
        put_new(file, b"two")
    assert file.read_bytes() == b"one"
    with pytest.raises(NotWritten, match="make its folder first"):
        put_new(tmp_path / "none" / "label.svg", b"one")


@pytest.mark.parametrize("words", [("key", "new"), ("support-bundle", "--out")], ids=lambda words: words[0])
def test_a_disk_that_takes_nothing_is_a_sentence_and_leaves_no_half_a_file(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A key file of no bytes would stand in the way of a key for ever."""
    made = tmp_path / "made"
    config = tmp_path / "agent.toml"
    config.write_text(
        'gateway = "gw-1"\nspool_path = "spool.db"\n[broker]\nhost = "127.0.0.1"\nport = 1\ntls = false\n'
    )
    done = subprocess.run(
        [*command("edge-agent"), *words, str(made), "--config", str(config)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert f"{made} cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not made.exists()


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "edge-agent enrol https://" in capsys.readouterr().err


def test_a_log_that_is_not_there_is_named_before_anything_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle.zip"
    assert main(["support-bundle", "--out", str(out), "--log", str(tmp_path / "no.log")]) == 1
    assert "name another one with --log" in capsys.readouterr().err
    assert not out.exists()
