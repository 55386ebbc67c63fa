"""`edge-agent`: meters what devices use, seals it, and sends it until the collector has confirmed it.

Only what a command needs is imported: the running agent is small (tested).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge_agent.cli import installer
from edge_agent.cli.exits import EPILOG, Exit
from shared.errors import MetersealError

CONFIG: Final = Path("/etc/meterseal/agent.toml")
_EXAMPLES: Final = """examples:
  edge-agent enrol https://collector.example:8843 CODE  make this gateway's key and enrol it
  edge-agent key new /var/lib/meterseal/gateway.key     make its key alone
  edge-agent probe                                      which meters answer, as ready configuration
  edge-agent config check                               is the configuration right, is everything there?
  edge-agent read                                       every source once: does it show what the meter shows?
  edge-agent commission                                 … and have it sealed that it does
  edge-agent run                                        meter, seal and send, until SIGTERM
  edge-agent doctor                                     is everything well, and what is to do?
  edge-agent status                                     how the running agent stands
  edge-agent reload                                     take the changed configuration; nothing is lost
  edge-agent backlog --json                             what the collector has not yet confirmed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, and says on stderr in one sentence why it is not 0."""
    words = _command_first(sys.argv[1:] if arguments is None else arguments)
    if not words:
        _parser().exit(Exit.USAGE, _parser().format_help())
    options = _parser().parse_args(words)
    try:
        return int(_dispatch(options))
    except MetersealError as error:
        sys.stderr.write(f"{error}\n")
        return int(_exit_of(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return int(Exit.OK)


def _command_first(words: Sequence[str]) -> list[str]:
    """`--config FILE` and `--set KEY=VALUE` may stand before the command as well as after it."""
    front = 0
    while front < len(words) and words[front].partition("=")[0] in ("--config", "--set"):
        front += 1 if "=" in words[front] else 2
    return [*words[front:], *words[:front]]


def _dispatch(options: argparse.Namespace) -> Exit:
    match options.command:
        case "run":
            from edge_agent.cli.run import run  # noqa: PLC0415 - only what the command needs.

            return run(options.config, options.set, log_level=options.log_level)
        case "status" | "backlog" | "read":
            from edge_agent.cli import show  # noqa: PLC0415

            command = {"status": show.status, "backlog": show.backlog, "read": show.read}[options.command]
            return command(options.config, options.set, as_json=options.json)
        case "reload":
            from edge_agent.cli.reload import reload  # noqa: PLC0415

            return reload(options.config, options.set, as_json=options.json)
        case "enrol" | "renew":
            from edge_agent.cli import enrol  # noqa: PLC0415

            if options.command == "renew":
                return enrol.renew(options.config, options.set)
            return enrol.enrol(options.url, options.code, options.config, options.set, wait=not options.no_wait)
        case _ if options.command in installer.NAMES:
            return installer.run(options)
        case "config":
            from edge_agent.cli import settings  # noqa: PLC0415

            if options.verb == "check":
                return settings.check(options.config, options.set)
            return settings.show(options.config, options.set, origin=options.origin, as_json=options.json)
        case _:
            from edge_agent.cli import key  # noqa: PLC0415

            if options.verb == "new":
                return key.new(options.file, options.config, options.set)
            if options.verb == "rotate":
                return key.rotate(options.config, options.set, as_json=options.json)
            return key.show(options.file, options.config, options.set, as_json=options.json)


_EXITS: Final = {
    "ConfigInvalid": Exit.USAGE,
    "DatabaseBusy": Exit.REFUSED,
    "DatabaseFull": Exit.TRY_AGAIN,
    "FileThere": Exit.REFUSED,
    "KeyExists": Exit.REFUSED,
    "KeyUnusable": Exit.USAGE,
    "NobodyThere": Exit.USAGE,
    "NotEnrolled": Exit.NOT_FOUND,
    "SpecChanged": Exit.USAGE,
    "SpoolForeign": Exit.REFUSED,
    "SpoolFull": Exit.TRY_AGAIN,
    "SpoolMissing": Exit.NOT_FOUND,
}
"""By the error's name, so that no command loads what only another one raises."""


def _exit_of(error: MetersealError) -> Exit:
    return _EXITS.get(type(error).__name__, Exit.FAILED)


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")
    shared.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set one option, such as broker.host=localhost"
    )
    reads = argparse.ArgumentParser(add_help=False)
    reads.add_argument("--json", action="store_true", help="print JSON")
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Meters what devices use, seals it, and sends it until the collector has confirmed it.",
        epilog=f"{_EXAMPLES}\n{EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, said: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=said, description=said, parents=parents, epilog=EPILOG, allow_abbrev=False
        )

    command("run", "Meter, seal and send, until SIGTERM.", shared).add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: %(default)s"
    )
    enrol = command("enrol", "Make this gateway's key and enrol it, with a claim code.", shared)
    enrol.add_argument(
        "url", metavar="URL", help="the collector's enrolment port, such as https://collector.example:8843"
    )
    enrol.add_argument("code", metavar="CODE", help="from `cloud-collector gateway invite`")
    enrol.add_argument("--no-wait", action="store_true", help="do not wait until people have compared the words")
    command("renew", "Renew this gateway's certificate; the running agent does so by itself.", shared)
    command("status", "How the agent stands: link, backlog, sources, registers.", shared, reads)
    command("read", "Read every source once: raw value, register, verdict.", shared, reads)
    command(
        "reload", "Have the running agent take the changed configuration, without losing an interval.", shared, reads
    )
    command("backlog", "What the collector has not yet confirmed.", shared, reads)
    installer.add(command, shared, reads)
    for name, said, verbs in (
        ("config", "Check or show the configuration.", {"check": "Is it right?", "show": "What applies?"}),
        (
            "key",
            "Make or show this gateway's key.",
            {
                "new": "Make the key.",
                "show": "Show its public half.",
                "rotate": "Have the running agent go on with a new one.",
            },
        ),
    ):
        group = command(name, said).add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, help_text in verbs.items():
            parents = [shared] if verb in ("check", "new") else [shared, reads]
            sub = group.add_parser(
                verb, help=help_text, description=help_text, parents=parents, epilog=EPILOG, allow_abbrev=False
            )
            if name == "key" and verb != "rotate":
                sub.add_argument(
                    "file", type=Path, nargs="?", metavar="FILE", help="default: key_file of the configuration"
                )
            if verb == "show" and name == "config":
                sub.add_argument("--origin", action="store_true", help="say where each value comes from")
    return parser


if __name__ == "__main__":
    sys.exit(main())
