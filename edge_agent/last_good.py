"""The configuration that this gateway last metered by, kept for the day on which the file is broken.

Plain values as the validating child has handed them over, in the state folder: $STATE_DIRECTORY, which
systemd sets, else the folder of the default spool, else the configuration's own. Where none may be written
nothing is kept, and a broken configuration ends the start. One file for each configuration file, replaced
atomically.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge_agent.plain import plain, record
from edge_agent.settings import AgentSettings
from shared.errors import InvalidRecord

STATE_FOLDER: Final = Path("/var/lib/meterseal")


class LastGood:
    """What was last metered by, of one configuration file."""

    def __init__(self, config: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._config = str(config.absolute())
        folders = environment.get("STATE_DIRECTORY", "")
        state = [Path(folders.partition(":")[0])] if folders else [STATE_FOLDER, config.absolute().parent]
        name = hashlib.sha256(self._config.encode()).hexdigest()[:8]
        self.files: Final = tuple(folder / f"last-good.{name}.json" for folder in state)

    def keep(self, settings: AgentSettings) -> bool:
        """These are the last good ones from now on; False where there is no place to keep them."""
        raw = json.dumps({"config": self._config, "settings": plain(settings)}, separators=(",", ":")).encode()
        return any(self._put(file, raw) for file in self.files)

    def _put(self, kept: Path, raw: bytes) -> bool:
        try:
            if kept.exists() and kept.read_bytes() == raw:
                return True
            fresh = kept.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                # P2: a power cut leaves the former ones or these, never half of them.
                os.fsync(file.fileno())
            fresh.replace(kept)
        except OSError:
            return False
        return True

    def read(self) -> AgentSettings | None:
        """The last good ones; None where none are kept, or another version kept what this one cannot read."""
        for file in self.files:
            try:
                tree: dict[str, Any] = json.loads(file.read_bytes())
                return record(AgentSettings, tree["settings"])
            except (OSError, ValueError, KeyError, TypeError, StopIteration, InvalidRecord):
                continue
        return None
