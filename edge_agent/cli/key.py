"""`edge-agent key new`, `key show` and `key rotate`."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.cli.exits import Exit
from edge_agent.config import load
from edge_agent.identity import make_key, read_public_key
from edge_agent.keyring import FileKeyring
from edge_agent.local import ask, door_of
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
    settings = None if file is not None else load(config, environment=os.environ, flags=flags).settings
    path = settings.key_file if settings is not None else file
    assert path is not None, "given or configured"
    if not path.exists():
        sys.stderr.write(f"there is no key {path}: `edge-agent key new {path}` makes one\n")
        return Exit.NOT_FOUND
    public = read_public_key(path)
    if settings is not None:
        present = FileKeyring(path, settings.spool_path).load().current.public
        if present != public:
            sys.stderr.write(f"{path} was the first key, {public.id}; this is the one that signs now\n")
        public = present
    if as_json:
        print(json.dumps({"id": public.id, "sha256": public.sha256, "words": public.words, "pem": public.pem}))
    else:
        _print(public)
    return Exit.OK


def rotate(config: Path, flags: Sequence[str], *, as_json: bool) -> Exit:
    """The running agent goes on with a new key, announced by the old one; 75 where none runs."""
    settings = load(config, environment=os.environ, flags=flags).settings
    answer = asyncio.run(ask(door_of(settings.spool_path), "rotate"))
    if not answer or "key" not in answer:
        sys.stderr.write("no agent runs with this configuration: the key changes while it runs, `edge-agent run`\n")
        return Exit.TRY_AGAIN
    if as_json:
        print(json.dumps(answer))
        return Exit.OK
    _print(FileKeyring(settings.key_file, settings.spool_path).load().current.public)
    sys.stderr.write("the collector learns of it from the lines themselves: there is nothing to enrol\n")
    return Exit.OK


def _file(file: Path | None, config: Path, flags: Sequence[str]) -> Path:
    return file or load(config, environment=os.environ, flags=flags).settings.key_file


def _print(public: PublicKey) -> None:
    sys.stderr.write(f"id {public.id}, sha256 {public.sha256}\nwords {public.words}\n")
    sys.stdout.write(public.pem)
