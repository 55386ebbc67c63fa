"""What the collector's database holds as committed, read beside it on a connection of the checkers' own."""

import sqlite3
from pathlib import Path
from typing import Any, Final

_POSITIONS: Final = (
    "line join chain on chain.id = line.chain"
    " where chain.gateway = ? and chain.log = ? and chain.epoch = ? and line.aside = 0"
)


class CommittedFacts:
    """Reads the store's files; sees what is committed and nothing else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def count_through(self, gateway: str, log: str, epoch: str, through: int) -> int:
        """How many positions from 1 to `through` are held."""
        sql = f"select count(*) from {_POSITIONS} and line.seq between 1 and ?"
        return int(self.rows(sql, gateway, log, epoch, through)[0][0])

    def hash_at(self, gateway: str, log: str, epoch: str, seq: int) -> str | None:
        """The hash of the line at a position."""
        found = self.rows(f"select line.hash from {_POSITIONS} and line.seq = ?", gateway, log, epoch, seq)
        return str(found[0][0]) if found else None

    def throughs(self, gateway: str) -> dict[tuple[str, str], int]:
        """How far each chain of a gateway is whole."""
        sql = "select log, epoch, through from chain where gateway = ?"
        return {(log, epoch): through for log, epoch, through in self.rows(sql, gateway)}

    def holds(self, gateway: str, line_hash: str) -> bool:
        """Whether a line is durable, in its position or aside."""
        sql = "select 1 from line join chain on chain.id = line.chain where chain.gateway = ? and line.hash = ?"
        return bool(self.rows(sql, gateway, line_hash))

    def knows(self, gateway: str) -> bool:
        """Whether any line of a gateway was accepted."""
        sql = (
            "select 1 from line join chain on chain.id = line.chain where chain.gateway = ? and line.aside = 0 limit 1"
        )
        return bool(self.rows(sql, gateway))

    def raw_lines(self, gateway: str) -> list[tuple[str, str, int, str, bytes]]:
        """Every accepted line of a gateway: log, epoch, seq, hash, raw, in order of position."""
        sql = (
            "select chain.log, chain.epoch, line.seq, line.hash, line.raw"
            " from line join chain on chain.id = line.chain where chain.gateway = ? and line.aside = 0"
            " order by chain.log, chain.epoch, line.seq"
        )
        return [(log, epoch, seq, name, bytes(raw)) for log, epoch, seq, name, raw in self.rows(sql, gateway)]

    def doubled_positions(self) -> list[tuple[Any, ...]]:
        """Positions that hold more than one line."""
        return self.rows("select chain, seq, count(*) from line where aside = 0 group by 1, 2 having count(*) > 1")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
