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


async def main(port: int, database: sqlite3.Connection, keys: dict[str, PublicKey], *, rows: bool) -> None:
    database.executescript(
        "pragma journal_mode=wal; pragma synchronous=full; create table line (id integer primary key, raw blob);"
        "create table row (line, device, meter, start, register, units, deltas blob);"
    )
    async with MqttLink(BrokerSettings(host="127.0.0.1", port=port, tls=False), "bench-floor").session() as session:
        await session.subscribe(filter_of(Leaf.REPORT))
        waiting: list[Message] = []
        filling = asyncio.ensure_future(fill(session, waiting))
        while not filling.done():
            await asyncio.sleep(0 if len(waiting) >= 256 else 0.02)
            with database:
                commit(database.cursor(), waiting[:256], keys, rows=rows)
            for message in waiting[:256]:
                session.acknowledge(message)
            del waiting[:256]


async def fill(session: Session, waiting: list[Message]) -> None:
    while True:
        waiting.append(await session.receive())


def commit(cursor: sqlite3.Cursor, batch: list[Message], keys: dict[str, PublicKey], *, rows: bool) -> None:
    for message in batch:
        for raw in unpack(message.payload):  # type: ignore[union-attr]
            line = parse(raw)
            assert isinstance(line, Line)
            assert line.verified_by(keys[str(gateway_of(message.topic))])
            body = json.loads(line.body)
            at = cursor.execute("insert into line (raw) values (?)", (raw,)).lastrowid
            spread = [(at, r[0], r[1], body["start"], r[4], sum(r[5]), array("q", r[5])) for r in body.get("rows", ())]
            cursor.executemany("insert into row values (?,?,?,?,?,?,?)", spread if rows else ())


if __name__ == "__main__":
    known = {name: PublicKey(bytes.fromhex(key)) for name, key in json.loads(Path(sys.argv[3]).read_text()).items()}
    asyncio.run(main(int(sys.argv[1]), sqlite3.connect(sys.argv[2]), known, rows=sys.argv[4] == "channel"))
