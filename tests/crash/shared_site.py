"""The same site on one PostgreSQL: two collectors take turns on `$share`, and the database is killed as well."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shared.effects.postgres import PostgresDatabase
from shared.errors import DatabaseBusy, DatabaseError
from tests.crash.site import CrashSite
from tests.postgres import Server
from tests.processes import Process, command

COLLECTORS: Final = 2
TRY_AGAIN: Final = 75
"""The exit code of what is right and cannot be done now."""


class SharedSite(CrashSite):
    """Collectors that come and go on one store."""

    def __init__(
        self, folder: Path, gateways: Iterable[str], *, step: int, count: int, collectors: int = COLLECTORS
    ) -> None:
        self.server = Server()
        self.url = self.server.url("postgres")
        super().__init__(folder, gateways, step=step, count=count)
        text = self.collector_config.read_text(encoding="utf-8")
        self.collectors = []
        for at in range(collectors):
            config = folder / f"collector-{at}.toml"
            # Before the first table: TOML's keys at the top belong to no table.
            config.write_text(f'client_id = "_collector-{at}"\nshared_subscription = true\n{text}', encoding="utf-8")
            self.collectors.append(
                Process(
                    f"collector-{at}",
                    [*command("cloud-collector"), "--config", str(config), "--log-level", "debug", "run"],
                    folder / f"collector-{at}.log",
                )
            )

    @property
    def parties(self) -> tuple[str, ...]:
        return (*super().parties, "database")

    def of(self, party: str) -> list[Process]:
        return self.collectors if party == "collector" else super().of(party)

    def kill_database(self) -> None:
        """The server is killed, and starts again from its log."""
        self.server.kill()
        self.server.start()

    def ended(self, process: Process) -> None:
        """As a service manager does: a collector that began while the database reads its log asks to be tried again."""
        if process.code != TRY_AGAIN:
            super().ended(process)
        process.start()

    def stop(self) -> None:
        super().stop()
        self.server.remove()

    def _where(self) -> str:
        return f'store = "{self.url}"\n'

    def _rows(self, sql: str, *parameters: object) -> list[tuple[int, ...]]:
        try:
            database = PostgresDatabase(self.url, read_only=True)
        except DatabaseBusy:
            return []
        try:
            return database.execute(sql, parameters)
        except DatabaseError:
            return []
        finally:
            database.close()
