"""A floor under the intake bench: the least program that receives, verifies, decodes and commits.

`python -m tests.bench.floor PORT DATABASE KEYS {line,channel}`: one insert a line, or that and one
row a channel. The same Link, broker and payloads as the collector's; no chain, no verdicts, no receipts.
"""

import asyncio
import json
import sqlite3
import sys
from array import array
from pathlib import Path

from shared.effects.broker import BrokerSettings
from shared.effects.link import Message, Session
from shared.effects.mqtt import MqttLink
from shared.key import PublicKey
from shared.line import Line, parse
from shared.payload import unpack
from shared.topic import Leaf, filter_of, gateway_of


async def main(port: int, path: str, keys: dict[str, PublicKey], *, rows: bool) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "pragma journal_mode=wal; pragma synchronous=full; create table if not exists line (raw blob);"
        "create table if not exists row (line, device, meter, start, register, units, deltas blob);"
    )
    async with MqttLink(BrokerSettings(host="127.0.0.1", port=port, tls=False), "bench").session() as session:
        await session.subscribe(filter_of(Leaf.REPORT))
        while True:
            batch = [await session.receive()]
            while len(batch) < 256:
                try:
                    batch.append(await asyncio.wait_for(session.receive(), 0.02))
                except TimeoutError:
                    break
            commit(database, batch, keys, session, rows=rows)


def commit(database: sqlite3.Connection, batch: list[Message], keys: dict[str, PublicKey], session: Session, *, rows: bool) -> None:
    database.execute("begin immediate")
    for message in batch:
        for raw in unpack(message.payload):  # type: ignore[union-attr]
            line = parse(raw)
            assert isinstance(line, Line)
            assert line.verified_by(keys[str(gateway_of(message.topic))])
            body = json.loads(line.body)
            where = database.execute("insert into line (raw) values (?)", (raw,)).lastrowid
            if rows and body["kind"] == "usage":
                packed = [(where, r[0], r[1], body["start"], r[4], sum(r[5]), array("q", r[5]).tobytes()) for r in body["rows"]]
                database.executemany("insert into row values (?,?,?,?,?,?,?)", packed)
    database.execute("commit")
    for message in batch:
        session.acknowledge(message)


if __name__ == "__main__":
    known = {name: PublicKey(bytes.fromhex(key)) for name, key in json.loads(Path(sys.argv[3]).read_text()).items()}
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], known, rows=sys.argv[4] == "channel"))
