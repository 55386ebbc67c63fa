"""What the collector's database holds as committed, read beside it on a connection of the checkers' own."""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from shared.errors import Refused
from shared.line import parse
from shared.report import Summary, read

_POSITIONS: Final = (
    "line join chain on chain.id = line.chain"
    " where chain.gateway = ? and chain.log = ? and chain.epoch = ? and line.aside = 0"
)


class CommittedFacts:
    """Reads the store's files; sees what is committed and nothing else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._read: dict[int, list[tuple[int, int, str]]] = {}
        """What summaries cover, by the line's id."""
        self._summaries: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        """Ids of the summaries of each chain, in their positions or aside."""
        self._looked = 0
        self._chains: dict[tuple[str, str, str], int] = {}
        """Up to which line it was looked for summaries."""

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def _chain(self, gateway: str, log: str, epoch: str) -> int:
        """The number of a chain, which it keeps; 0 where nothing of it is committed."""
        name = (gateway, log, epoch)
        if name not in self._chains:
            rows = self.rows("select id from chain where gateway = ? and log = ? and epoch = ?", *name)
            if not rows:
                return 0
            self._chains[name] = rows[0][0]
        return self._chains[name]

    def count_through(self, gateway: str, log: str, epoch: str, through: int) -> int:
        """How many positions from 1 to `through` are held."""
        sql = "select count(*) from line where chain = ? and aside = 0 and seq between 1 and ?"
        return int(self.rows(sql, self._chain(gateway, log, epoch), through)[0][0])

    def told_through(self, gateway: str, log: str, epoch: str, through: int) -> int:
        """How many positions from 1 to `through` are held, or told of by a summary or as forgotten."""
        covers = self._covers(gateway, log, epoch)
        if not covers:
            return self.count_through(gateway, log, epoch, through)
        sql = f"select line.seq from {_POSITIONS} and line.seq between 1 and ?"
        held = {row[0] for row in self.rows(sql, gateway, log, epoch, through)}
        for first, last, _ in covers:
            held |= set(range(first, min(last, through) + 1))
        return len(held)

    def head_at(self, gateway: str, log: str, epoch: str, through: int) -> str | None:
        """The hash of the line at a position, as it is held or as a summary that ends with it says."""
        held = self.hash_at(gateway, log, epoch, through)
        if held is not None:
            return held
        return next((end for _, last, end in self._covers(gateway, log, epoch) if last == through), None)

    def _covers(self, gateway: str, log: str, epoch: str) -> list[tuple[int, int, str]]:
        """First, last and the last one's hash of every range that an accepted summary covers."""
        found: list[tuple[int, int, str]] = []
        for id_, raw in self._summaries_of(gateway, log, epoch):
            if id_ not in self._read:
                line = parse(bytes(raw))
                report = line if isinstance(line, Refused) else read(line)
                ranges = report.covers if isinstance(report, Summary) else ()
                self._read[id_] = [(cover.first, cover.last, cover.end) for cover in ranges]
            found += self._read[id_]
        return found

    def _summaries_of(self, gateway: str, log: str, epoch: str) -> list[tuple[int, bytes]]:
        """The chain's summaries that hold their positions; each line is looked at once, when it is new."""
        sql = (
            "select line.id, line.kind, chain.gateway, chain.log, chain.epoch from line join chain"
            " on chain.id = line.chain where line.id > ? order by line.id"
        )
        for id_, kind, *chain in self.rows(sql, self._looked):
            self._looked = id_
            if kind == "summary":
                self._summaries[chain[0], chain[1], chain[2]].append(id_)
        ids = self._summaries.get((gateway, log, epoch), ())
        held = (self.rows("select id, raw from line where id = ? and aside = 0", id_) for id_ in ids)
        return [(row[0], row[1]) for rows in held for row in rows]

    def hash_at(self, gateway: str, log: str, epoch: str, seq: int) -> str | None:
        """The hash of the line at a position."""
        sql = "select hash from line where chain = ? and aside = 0 and seq = ?"
        found = self.rows(sql, self._chain(gateway, log, epoch), seq)
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
