"""`cloud-collector gateway line`: one sealed line, and whether its gateway signed it."""

import json
from typing import Annotated, Final

import typer

from cloud_collector.cli.gateway import Name
from cloud_collector.cli.opened import Json, ending, opened, say, settings
from cloud_collector.contracts.period import iso
from cloud_collector.insight.sealed_line import sealed_line

NOT_FOUND: Final = 3


@ending
def line(
    name: Name,
    log: Annotated[str, typer.Argument(metavar="LOG", help="The gateway's log, such as main.")],
    epoch: Annotated[str, typer.Argument(metavar="EPOCH", help="The log's epoch, eight hex digits.")],
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=1, help="The line's number in it.")],
    json_: Json = False,
) -> None:
    """Example: `cloud-collector gateway line house-7 main 5f2c91aa 43`.

    The line as its gateway sealed it, whether its signature is right, and the words of its key.
    """
    with opened(settings()) as store:
        found = sealed_line(store, name, log, epoch, seq)
    if found is None:
        say(f"no line {seq} of {name} is held in {log} {epoch}: `cloud-collector gateway show {name}` names its logs")
        raise typer.Exit(NOT_FOUND)
    if json_:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    verdict = "signed by the gateway's key" if found.genuine else "NOT what the gateway signed"
    words = "not known" if found.key is None else found.key.words
    print(f"{found.kind or 'unreadable'}, received {iso(found.received_at_ms // 1_000)}: {verdict}; key {words}")
    print(found.raw.decode("ascii", "backslashreplace") or "its detail was deleted as agreed")
