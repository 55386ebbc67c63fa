"""What a changed configuration changes: which sources come, go and stay, and what takes a restart. Pure."""

from dataclasses import dataclass
from typing import Final

from edge_agent.settings import AgentSettings
from edge_agent.words import count

RESTART_KEYS: Final = ("gateway", "key_file", "spool_path", "spool_bytes_max", "wall_clock")
"""What an agent is born with: a reload that changes one of them is refused as a whole."""
LINK_KEYS: Final = ("broker", "prefix", "drain_delay_seconds", "reconnect_seconds_max", "home_assistant")
"""What takes a new session with the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one configuration to the next."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Sources by their names."""
    options: tuple[str, ...]
    """Options outside of the sources."""

    @property
    def takes_restart(self) -> tuple[str, ...]:
        """The changed options that only a restart can take."""
        return tuple(name for name in self.options if name in RESTART_KEYS)

    @property
    def of_link(self) -> bool:
        """Whether the way to the broker has changed."""
        return any(name in LINK_KEYS for name in self.options)

    def __str__(self) -> str:
        parts = [
            f"{count(len(names), 'source')} {what}: {', '.join(names)}"
            for names, what in ((self.added, "added"), (self.removed, "removed"), (self.changed, "changed"))
            if names
        ]
        parts += [f"changed: {', '.join(self.options)}"] if self.options else []
        return "; ".join(parts) or "nothing has changed"


def change(old: AgentSettings, new: AgentSettings) -> Change:
    """What lies between two configurations."""
    before = {source.name: source for source in old.sources}
    after = {source.name: source for source in new.sources}
    names = [name for name in AgentSettings.__slots__ if name != "sources"]
    return Change(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and after[name] != before[name]),
        options=tuple(name for name in names if getattr(old, name) != getattr(new, name)),
    )
