"""What all commands have in common: the program's options may stand before or after them; how their help ends."""

from typing import Any, Final

from typer.core import TyperGroup

from cloud_collector.cli.deeds import notice

GLOBAL: Final = ("--config", "--set", "--log-level")
TRIES: Final = "simulate-tariff"
"""After this command `--set` is of the catalog that is tried out, not of the configuration."""
TAKEN: Final = "Every command also takes --config FILE, --set KEY=VALUE and --log-level LEVEL."
EXITS: Final = (
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 not found, 4 refused, 5 partly done and resumable, "
    "75 try again."
)


class Anywhere(TyperGroup):
    """Hands the options of the program to the program, wherever on the line they stand."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _finish(self)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the line as if those options stood first."""
        return super().parse_args(ctx, hoisted(args))


def hoisted(words: list[str]) -> list[str]:
    """The words, the program's own options first, in their order; nothing after `--` is touched."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if rest[:1] == [TRIES] and word.partition("=")[0] == "--set":
            rest.append(word)
        elif word == "--":
            rest += [word, *left]
        elif word in GLOBAL:
            value = next(left, None)
            front += [word] if value is None else [word, value]
        elif word.startswith(tuple(f"{name}=" for name in GLOBAL)):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def _finish(group: Any) -> None:
    """Each command is listed by what it does, not by its example, and its help ends with what all have in common."""
    for command in group.commands.values():
        command.epilog = f"{TAKEN}\n\n{EXITS}"
        if hasattr(command, "commands"):
            _finish(command)
        else:
            notice(command)
            _, _, does = (command.help or "").partition("\n\n")
            command.short_help = does.replace("\n", " ").partition(". ")[0].rstrip(".")
