"""The commands of whoever fits a gateway beside a meter: what they take, and which file does them."""

import argparse
from collections.abc import Callable
from pathlib import Path

from edge_agent.cli.exits import Exit

Command = Callable[..., argparse.ArgumentParser]
NAMES = ("commission", "doctor", "exchange", "label", "probe", "support-bundle")


def add(command: Command, shared: argparse.ArgumentParser, reads: argparse.ArgumentParser) -> None:
    """The commands are known to the parser."""
    commission = command("commission", "Compare each meter's display with what is read, and seal it.", shared, reads)
    commission.add_argument("channel", nargs="?", metavar="CHANNEL", help="such as main.energy; default: all meters")
    commission.add_argument("--display", metavar="VALUE", help="what the display shows, where nobody can be asked")
    command("doctor", "Look at everything that a gateway needs, and say what to do next.", shared, reads)
    exchange = command("exchange", "Swap a meter: seal what the old and the new display show.", shared, reads)
    exchange.add_argument("channel", metavar="CHANNEL", help="such as main.energy")
    exchange.add_argument("--old-display", metavar="VALUE", help="what the old one showed last, or unknown")
    exchange.add_argument("--new-serial", metavar="TEXT", help="the new one's serial number")
    exchange.add_argument("--new-display", metavar="VALUE", help="what the new one showed first")
    exchange.add_argument("--yes", action="store_true", help="seal without asking")
    probe = command("probe", "See which meters answer, and propose their configuration.", shared, reads)
    probe.add_argument(
        "--serial", type=Path, action="append", default=[], metavar="PORT", help="default: all there are"
    )
    probe.add_argument(
        "--tcp", action="append", default=[], metavar="HOST[:PORT]", help="a Modbus TCP device or gateway"
    )
    probe.add_argument("--mqtt", metavar="HOST[:PORT]", help="the site's own broker; default: on this machine")
    probe.add_argument(
        "--units", default="1-10", metavar="A-B", help="Modbus addresses, such as 1,7,20-24; default: %(default)s"
    )
    probe.add_argument("--line", default="9600N", metavar="9600N", help="speed and parity; default: %(default)s")
    probe.add_argument(
        "--seconds", type=float, default=11.0, metavar="S", help="how long to listen; default: %(default)s"
    )
    probe.add_argument("--write", type=Path, metavar="FILE", help="write it there, such as conf.d/20-meters.toml")
    label = command("label", "The gateway's label: its key as words and as a QR code.", shared, reads)
    label.add_argument("--svg", type=Path, metavar="FILE", help="write it as a drawing")
    label.add_argument("--pdf", type=Path, metavar="FILE", help="write it as a page of its own size")
    bundle = command("support-bundle", "One file for who helps, without keys, passwords and tokens.", shared, reads)
    bundle.add_argument("--out", type=Path, default=Path("edge-agent-support.zip"), metavar="FILE")
    bundle.add_argument("--log", type=Path, metavar="FILE", help="a log whose end goes in")


def run(options: argparse.Namespace) -> Exit:
    """Do the command."""
    place: tuple[Path, list[str]] = (options.config, options.set)
    match options.command:
        case "commission":
            from edge_agent.cli.commission import commission  # noqa: PLC0415 - only what the command needs.

            return commission(*place, channel=options.channel, display=options.display, as_json=options.json)
        case "doctor":
            from edge_agent.cli.doctor import doctor  # noqa: PLC0415

            return doctor(*place, as_json=options.json)
        case "label":
            from edge_agent.cli.label import label  # noqa: PLC0415

            return label(*place, svg=options.svg, pdf=options.pdf, as_json=options.json)
        case "probe":
            from edge_agent.cli.probe import Where, probe  # noqa: PLC0415

            where = Where(
                serial=tuple(options.serial),
                tcp=tuple(options.tcp),
                mqtt=options.mqtt,
                line=options.line,
                units=options.units,
                seconds=options.seconds,
            )
            return probe(*place, where=where, write=options.write, as_json=options.json)
        case "support-bundle":
            from edge_agent.cli.support import support_bundle  # noqa: PLC0415

            return support_bundle(*place, out=options.out, log=options.log, as_json=options.json)
        case _:
            from edge_agent.cli.exchange import Told, exchange  # noqa: PLC0415

            told = Told(
                old_display=options.old_display,
                new_serial=options.new_serial,
                new_display=options.new_display,
                yes=options.yes,
            )
            return exchange(*place, channel=options.channel, told=told, as_json=options.json)
