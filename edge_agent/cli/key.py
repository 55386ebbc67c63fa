"""`edge-agent key new` and `key show`."""

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.cli.exits import Exit
from edge_agent.config import load
from edge_agent.identity import make_key, read_public_key
from shared.key import PublicKey


def new(file: Path | None, config: Path, flags: Sequence[str]) -> Exit:
    """The key is made, its public half printed for the collector's `gateway add`."""
    path = _file(file, config, flags)
    with contextlib.suppress(OSError):  # `make_key` says what is wrong with it.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    key = make_key(path)
    sys.stderr.write(f"made {path}; its public half, for `cloud-collector gateway add`:\n")
    _print(key.public)
    return Exit.OK


def show(file: Path | None, config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """The public half is printed: its PEM on stdout, its fingerprint words for people to compare."""
    path = _file(file, config, flags)
    if not path.exists():
        sys.stderr.write(f"there is no key {path}: `edge-agent key new {path}` makes one\n")
        return Exit.NOT_FOUND
    public = read_public_key(path)
    if as_json:
        print(json.dumps({"id": public.id, "sha256": public.sha256, "words": public.words, "pem": public.pem}))
    else:
        _print(public)
    return Exit.OK


def _file(file: Path | None, config: Path, flags: Sequence[str]) -> Path:
    return file or load(config, environment=os.environ, flags=flags).settings.key_file


def _print(public: PublicKey) -> None:
    sys.stderr.write(f"id {public.id}, sha256 {public.sha256}\nwords {public.words}\n")
    sys.stdout.write(public.pem)
