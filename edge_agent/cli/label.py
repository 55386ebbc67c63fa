"""`edge-agent label`: what is stuck on the gateway, so that customers know whose signature is on their bill."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_agent.cli.exits import Exit
from edge_agent.cli.fresh import put_new, require_absent
from edge_agent.cli.person import say
from edge_agent.config import load
from edge_agent.keyring import FileKeyring
from edge_agent.label import Label, Matrix, as_pdf, as_svg, in_terminal
from edge_agent.words import to_install


def label(config: Path, flags: Sequence[str], *, svg: Path | None, pdf: Path | None, as_json: bool) -> Exit:
    """The label on stdout, or in files that were not there before."""
    settings = load(config, environment=os.environ, flags=flags).settings
    public = FileKeyring(settings.key_file, settings.spool_path).load().current.public
    found = Label(gateway=settings.gateway, words=public.words, sha256=public.sha256)
    if as_json:
        print(json.dumps({"gateway": found.gateway, "words": found.words, "sha256": found.sha256, "qr": found.content}))
    matrix = _matrix(found.content)
    if matrix is None and (svg or pdf or not as_json):
        say(f"the QR code needs the library segno: {to_install('label')}")
        if svg or pdf:
            return Exit.FAILED
    if matrix is not None:
        wanted = [(svg, as_svg(found, matrix).encode()), (pdf, as_pdf(found, matrix))]
        drawings = [(path, drawn) for path, drawn in wanted if path is not None]
        for path, _ in drawings:
            require_absent(path)
        for path, drawn in drawings:
            put_new(path, drawn)
            say(f"wrote {path}")
    if not (svg or pdf or as_json):
        if matrix is not None and sys.stdout.isatty():
            # White on black whatever the terminal's colours are: cameras do not read it inverted.
            print("\n".join(f"\033[97;40m{line}\033[0m" for line in in_terminal(matrix).splitlines()))
        print(f"{found.gateway}\n{found.words}\n{found.sha256}")
    return Exit.OK


def _matrix(content: str) -> Matrix | None:
    try:
        import segno  # noqa: PLC0415 - an agent that prints no label does without.
    except ImportError:
        return None
    code = segno.make(content, error="m", micro=False)  # type: ignore[no-untyped-call, unused-ignore]
    return [list(row) for row in code.matrix]
