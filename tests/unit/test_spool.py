"""P2, P7, P9: what is committed stays, and is forgotten only when the rules of the wire allow it."""

import sqlite3
from pathlib import Path
from random import Random

import pytest

from edge_agent.disk import FileDisk
from edge_agent.receipts import HeardAs
from edge_agent.recovery import Origin
from edge_agent.sealed import Place
from edge_agent.spool import Spool, SpoolFull
from shared.errors import DatabaseBusy, DatabaseFailed, Refused
from shared.limits import RECEIPTED_KEEP_SECONDS
from shared.line import hash_of, parse
from shared.report import Birth, Cause, Report, Summary, read
from tests.spools import BYTES_MAX, DAY_MS, KEY, birth, held, held_hash, open_spool, receipt, usage

OTHER = hash_of(b"a line of another history")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def sealed(path: Path, count: int, *, bytes_max: int = BYTES_MAX) -> Spool:
    """A spool with a birth and further lines, `count` in all."""
    spool = open_spool(path, bytes_max=bytes_max)
    spool.seal([birth()], {})
    for number in range(count - 1):
        spool.seal([usage(number)], {"windows": number})
    return spool


def report_at(spool: Spool, log: str, epoch: str, seq: int) -> Report:
    raw = spool.raw(Place(log, epoch, seq))
    assert raw is not None
    line = parse(raw)
    assert not isinstance(line, Refused)
    assert line.verified_by(KEY.public)
    report = read(line)
    assert not isinstance(report, Refused)
    return report


def waiting(spool: Spool) -> list[tuple[str, int]]:
    return [(place.epoch, place.seq) for place in spool.waiting(100)]


def head_seq(spool: Spool) -> int:
    chain = spool.chain("main")
    assert chain is not None
    return chain.seq


def folded(spool: Spool) -> set[int]:
    """The positions that summaries in the spool cover."""
    reports = [report_at(spool, "main", spool.epoch, seq) for seq in held(spool)]
    covers = [cover for report in reports if isinstance(report, Summary) for cover in report.covers]
    return {seq for cover in covers for seq in range(cover.first, cover.last + 1)}


class TestSealing:
    def test_lines_are_chained_from_one_without_gaps(self, path: Path) -> None:
        spool = sealed(path, 4)
        prev = ""
        for seq in range(1, 5):
            report = report_at(spool, "main", spool.epoch, seq)
            assert (report.header.seq, report.header.prev) == (seq, prev)
            prev = held_hash(spool, "main", spool.epoch, seq)

    def test_a_reopened_spool_goes_on_where_it_stopped(self, path: Path) -> None:
        spool = sealed(path, 3)
        epoch, head = spool.epoch, spool.chain("main")
        spool.close()
        again = open_spool(path, seed=2)
        assert again.origin is Origin.KEPT
        assert (again.epoch, again.chain("main")) == (epoch, head)
        again.seal([usage(2)], {})
        assert [seq for _, seq in waiting(again)] == [1, 2, 3, 4]

    def test_a_snapshot_is_what_was_committed_last(self, path: Path) -> None:
        spool = open_spool(path)
        assert spool.snapshot() is None
        spool.commit({"register": 1})
        spool.seal([birth()], {"register": 2})
        spool.commit({"register": 3})
        spool.close()
        assert open_spool(path).snapshot() == {"register": 3}

    def test_a_birth_within_an_epoch_names_the_line_before(self, path: Path) -> None:
        spool = sealed(path, 2)
        spool.seal([birth()], {})
        report = report_at(spool, "main", spool.epoch, 3)
        assert isinstance(report, Birth)
        assert report.previous == (spool.epoch, 2, held_hash(spool, "main", spool.epoch, 2))

    def test_logs_have_chains_of_their_own(self, path: Path) -> None:
        spool = open_spool(path)
        spool.seal([birth("flat-1"), birth("flat-2"), usage(0, "flat-2")], {})
        assert [(place.log, place.seq) for place in spool.waiting(9)] == [("flat-1", 1), ("flat-2", 1), ("flat-2", 2)]

    def test_nothing_but_a_birth_begins_a_log(self, path: Path) -> None:
        with pytest.raises(AssertionError, match="seq 1"):
            open_spool(path).seal([usage(0)], {})

    def test_a_failed_transaction_leaves_neither_line_nor_snapshot(self, path: Path) -> None:
        spool = sealed(path, 2)
        spool._database.execute(
            "create temp trigger refuse before insert on snapshot begin select raise(abort, 'x'); end"
        )
        with pytest.raises(DatabaseFailed):
            spool.seal([usage(1)], {"windows": "new"})
        assert spool.waiting_count == 2
        spool.close()
        again = open_spool(path)
        assert [seq for _, seq in waiting(again)] == [1, 2]
        assert again.snapshot() == {"windows": 0}

    def test_a_second_agent_is_refused_with_a_sentence(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **{**kwargs, "timeout": 0.01}))
        first = open_spool(path)
        with pytest.raises(DatabaseBusy, match="another process holds"):
            open_spool(path)
        first.close()

    def test_a_spool_of_another_gateway_is_refused(self, path: Path) -> None:
        open_spool(path).close()
        with pytest.raises(DatabaseFailed, match="belongs to the gateway gw-1, not to gw-2"):
            open_spool(path, gateway="gw-2")

    def test_a_spool_of_a_newer_program_is_refused(self, path: Path) -> None:
        spool = open_spool(path)
        spool._database.execute("pragma user_version = 99")
        spool.close()
        with pytest.raises(DatabaseFailed, match="start a newer version"):
            open_spool(path)


class TestReceipts:
    def test_a_receipt_with_the_own_head_confirms_everything_up_to_it(self, path: Path) -> None:
        spool = sealed(path, 4)
        heard = spool.receive(receipt(spool, 3, at=10))
        assert (heard.meaning, heard.confirmed_lines) == (HeardAs.CONFIRMED, 3)
        assert [seq for _, seq in waiting(spool)] == [4]
        assert held(spool) == [1, 2, 3, 4]

    def test_a_receipt_that_is_not_newer_is_ignored_even_after_a_restart(self, path: Path) -> None:
        spool = sealed(path, 4)
        spool.receive(receipt(spool, 3, at=10))
        spool.close()
        again = open_spool(path)
        assert again.receive(receipt(again, 2, at=10)).meaning is HeardAs.STALE
        assert again.receive(receipt(again, 4, at=9)).meaning is HeardAs.STALE
        assert [seq for _, seq in waiting(again)] == [4]

    def test_a_lower_through_that_is_newer_means_a_restored_collector_and_sends_again(self, path: Path) -> None:
        spool = sealed(path, 4)
        spool.receive(receipt(spool, 4, at=10))
        heard = spool.receive(receipt(spool, 1, at=11))
        assert (heard.meaning, heard.reopened_lines) == (HeardAs.CONFIRMED, 3)
        assert [seq for _, seq in waiting(spool)] == [2, 3, 4]

    def test_a_collector_that_lost_everything_is_sent_everything(self, path: Path) -> None:
        spool = sealed(path, 3)
        spool.receive(receipt(spool, 3, at=10))
        assert spool.receive(receipt(spool, 0, at=11)).reopened_lines == 3
        assert not spool.contradicted

    def test_a_through_beyond_the_last_line_is_a_fork_and_deletes_nothing(self, path: Path) -> None:
        spool = sealed(path, 3)
        assert spool.receive(receipt(spool, 5, head=OTHER, at=10)).meaning is HeardAs.CONTRADICTED
        assert spool.contradicted
        assert spool.waiting_count == 3

    def test_another_head_is_a_fork_and_deletes_nothing(self, path: Path) -> None:
        spool = sealed(path, 3)
        assert spool.receive(receipt(spool, 2, head=OTHER, at=10)).meaning is HeardAs.CONTRADICTED
        assert spool.contradicted
        assert spool.waiting_count == 3

    def test_a_fork_is_remembered_over_a_restart(self, path: Path) -> None:
        spool = sealed(path, 3)
        spool.receive(receipt(spool, 2, head=OTHER, at=10))
        spool.close()
        assert open_spool(path).contradicted

    def test_a_receipt_for_a_line_no_longer_held_says_nothing_about_forks(self, path: Path) -> None:
        spool = sealed(path, 4)
        spool.receive(receipt(spool, 4, at=10))
        spool._database.execute("delete from line where seq = 2")
        heard = spool.receive(receipt(spool, 2, head=OTHER, at=11))
        assert heard.meaning is HeardAs.UNPROVEN
        assert not spool.contradicted
        assert [seq for _, seq in waiting(spool)] == [3, 4]

    def test_a_receipt_of_an_unknown_epoch_changes_nothing(self, path: Path) -> None:
        spool = sealed(path, 2)
        heard = spool.receive(receipt(spool, 9, head=OTHER, epoch="0badcafe", at=10))
        assert heard.meaning is HeardAs.UNKNOWN
        assert (spool.waiting_count, spool.contradicted) == (2, False)

    def test_lines_listed_aside_are_sent_no_more(self, path: Path) -> None:
        spool = sealed(path, 3)
        names = (held_hash(spool, "main", spool.epoch, 3), OTHER)
        heard = spool.receive(receipt(spool, 2, head=OTHER, aside=names, at=10))
        assert heard.aside_lines == 1
        assert [seq for _, seq in waiting(spool)] == [1, 2]

    def test_a_log_does_not_listen_to_another_logs_receipts(self, path: Path) -> None:
        spool = open_spool(path)
        spool.seal([birth("flat-1"), birth("flat-2")], {})
        spool.receive(receipt(spool, 1, log="flat-1", at=10))
        assert spool.receive(receipt(spool, 1, log="flat-2", at=5)).meaning is HeardAs.CONFIRMED


class TestEpochs:
    def test_a_new_epoch_follows_the_collectors_line_where_it_contradicts(self, path: Path) -> None:
        spool = sealed(path, 3)
        old = spool.epoch
        spool.receive(receipt(spool, 7, head=OTHER, at=10))
        spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
        report = report_at(spool, "main", spool.epoch, 1)
        assert isinstance(report, Birth)
        assert report.previous == (old, 7, OTHER)
        assert (spool.epoch != old, spool.contradicted) == (True, False)

    def test_a_log_in_accord_follows_its_last_confirmed_line_when_another_forks(self, path: Path) -> None:
        spool = open_spool(path)
        spool.seal([birth("a"), birth("b"), usage(0, "b")], {})
        spool.receive(receipt(spool, 1, log="b", at=1))
        spool.receive(receipt(spool, 4, head=OTHER, log="a", at=2))
        old, name = spool.epoch, held_hash(spool, "b", spool.epoch, 1)
        spool.begin_epoch([birth("a", cause=Cause.EPOCH), birth("b", cause=Cause.EPOCH)], {}, random=Random(5))
        report = report_at(spool, "b", spool.epoch, 1)
        assert isinstance(report, Birth)
        assert report.previous == (old, 1, name)

    def test_old_lines_go_on_being_sent_under_their_epoch(self, path: Path) -> None:
        spool = sealed(path, 3)
        old = spool.epoch
        spool.receive(receipt(spool, 7, head=OTHER, at=10))
        spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
        assert waiting(spool) == [(old, 1), (old, 2), (old, 3), (spool.epoch, 1)]

    def test_an_old_epoch_is_confirmed_by_a_receipt_with_its_own_head(self, path: Path) -> None:
        spool = sealed(path, 3)
        old = spool.epoch
        spool.receive(receipt(spool, 7, head=OTHER, at=10))
        spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
        spool.receive(receipt(spool, 2, epoch=old, at=11))
        assert waiting(spool) == [(old, 3), (spool.epoch, 1)]

    def test_a_fork_of_an_old_epoch_does_not_begin_another(self, path: Path) -> None:
        spool = sealed(path, 3)
        old = spool.epoch
        spool.receive(receipt(spool, 7, head=OTHER, at=10))
        spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
        spool.receive(receipt(spool, 8, head=OTHER, epoch=old, at=11))
        assert not spool.contradicted

    def test_a_resting_line_is_sent_no_more_until_the_collector_falls_back(self, path: Path) -> None:
        spool = sealed(path, 3)
        old = spool.epoch
        spool.receive(receipt(spool, 7, head=OTHER, at=10))
        spool.rest([Place("main", old, 2), Place("main", old, 3)])
        assert [seq for _, seq in waiting(spool)] == [1]
        assert held(spool) == [1, 2, 3]
        assert spool.waiting_within("main", old, 2, 9, 9) == [Place("main", old, 2), Place("main", old, 3)]
        spool.receive(receipt(spool, 2, head=OTHER, at=11))
        assert [seq for _, seq in waiting(spool)] == [1, 3]


class TestRoom:
    def test_a_spool_too_small_for_what_is_sealed_at_once_says_so_and_loses_nothing(self, path: Path) -> None:
        spool = open_spool(path, bytes_max=160_000)
        spool.seal([birth()], {})
        with pytest.raises(SpoolFull, match="raise spool_bytes_max"):
            spool.seal([usage(number, intervals=400) for number in range(200)], {})
        spool.close()
        again = open_spool(path, bytes_max=160_000)
        assert again.waiting_count == 1
        assert again.bytes_used <= 160_000

    def test_confirmed_lines_younger_than_a_day_are_told_of_even_when_full(self, path: Path) -> None:
        """P7: where nothing else is left, metering goes on, and what is kept for a day is folded."""
        spool = open_spool(path, bytes_max=160_000)
        spool.seal([birth()], {})
        for number in range(120):
            spool.seal([usage(number, intervals=400)], {})
            spool.receive(receipt(spool, head_seq(spool), at=number + 1))
        covered = folded(spool)
        assert covered
        assert covered | set(held(spool)) == set(range(1, head_seq(spool) + 1))

    @pytest.mark.parametrize("short_of_a_day", [0, 1])
    def test_a_receipted_line_goes_a_day_after_its_receipt_and_is_folded_a_moment_earlier(
        self, path: Path, short_of_a_day: int
    ) -> None:
        spool = open_spool(path, bytes_max=160_000)
        spool.seal([birth(), *(usage(number, intervals=400) for number in range(45))], {})
        spool.receive(receipt(spool, 46, at=1_000))
        spool.receive(receipt(spool, 46, at=1_000 + RECEIPTED_KEEP_SECONDS * 1_000 - short_of_a_day))
        spool.seal([usage(number, intervals=400) for number in range(45, 95)], {})
        assert len(held(spool)) < 96
        assert bool(folded(spool)) == bool(short_of_a_day)

    def test_room_is_made_from_the_oldest_confirmed_lines_but_births_stay(self, path: Path) -> None:
        spool = open_spool(path, bytes_max=160_000)
        spool.seal([birth()], {})
        for number in range(400):
            spool.seal([usage(number, intervals=400)], {})
            spool.receive(receipt(spool, number + 2, at=(number + 1) * DAY_MS // 8))
        seqs = held(spool)
        assert seqs[0] == 1
        assert seqs[-1] == 401
        assert len(seqs) < 200
        assert spool.bytes_used <= 160_000

    def test_births_of_an_old_epoch_may_be_forgotten(self, path: Path) -> None:
        spool = sealed(path, 2, bytes_max=160_000)
        old = spool.epoch
        spool.receive(receipt(spool, 2, at=1))
        spool.receive(receipt(spool, 9, head=OTHER, at=2))
        spool.begin_epoch([birth(cause=Cause.EPOCH)], {}, random=Random(5))
        for number in range(400):
            spool.seal([usage(number, intervals=400)], {})
            spool.receive(receipt(spool, number + 2, at=(number + 1) * DAY_MS // 8))
        assert spool.raw(Place("main", old, 1)) is None
        assert spool.raw(Place("main", spool.epoch, 1)) is not None


class TestSalvage:
    def test_every_line_of_a_damaged_spool_that_verifies_is_sent_under_its_epoch(self, path: Path) -> None:
        spool = sealed(path, 40)
        old = spool.epoch
        spool.close()
        damage(path, "update line set raw = x'00' where seq = 7")
        again = open_spool(path, seed=2)
        assert again.origin is Origin.SALVAGED
        assert again.epoch != old
        assert waiting(again) == [(old, seq) for seq in range(1, 41) if seq != 7]

    def test_the_epoch_after_salvage_follows_the_last_salvaged_line(self, path: Path) -> None:
        spool = sealed(path, 5)
        old, name = spool.epoch, held_hash(spool, "main", spool.epoch, 4)
        spool.close()
        damage(path, "update line set raw = x'00' where seq = 5")
        again = open_spool(path, seed=2)
        again.seal([birth(cause=Cause.EPOCH)], {})
        report = report_at(again, "main", again.epoch, 1)
        assert isinstance(report, Birth)
        assert report.previous == (old, 4, name)

    def test_a_file_that_is_no_database_is_moved_aside_and_metering_goes_on(self, path: Path) -> None:
        path.write_bytes(b"no database at all, but long enough to look like one" * 100)
        spool = open_spool(path)
        spool.seal([birth()], {})
        assert waiting(spool) == [(spool.epoch, 1)]
        assert path.with_name("spool.db.damaged-1").exists()

    def test_lines_sealed_by_another_key_are_not_salvaged(self, path: Path) -> None:
        spool = sealed(path, 3)
        spool.close()
        damage(path, "update line set raw = replace(cast(raw as text), 'eth0', 'eth1')")
        assert open_spool(path, seed=2).waiting_count == 0

    def test_a_spool_made_after_a_lost_one_follows_null(self, path: Path) -> None:
        sealed(path, 3).close()
        damage(path, "update line set raw = x'00' where seq = 3")
        open_spool(path, seed=2).close()
        path.unlink()
        spool = open_spool(path, seed=3)
        assert spool.origin is Origin.NEW
        spool.seal([birth()], {})
        report = report_at(spool, "main", spool.epoch, 1)
        assert isinstance(report, Birth)
        assert report.previous is None
        assert spool.waiting_count == 3, "what once was salvaged is sent again: the collector knows duplicates"

    @pytest.mark.parametrize(
        "sql",
        [
            "update chain set seq = seq - 1",
            "update chain set head = ''",
            "update chain set log = cast(x'ff' as text)",
            "update heard set at = at + 1",
            "update identity set epoch = '00000000'",
            "update snapshot set packed = x'00'",
            "update line set seq = 77 where seq = 2",
            "update line set kind = 'birth' where seq = 2",
            "update line set raw = cast(raw as text) where seq = 2",
            "update line set hash = cast(x'fe' as text) where seq = 2",
            "delete from identity",
        ],
    )
    def test_a_changed_value_is_found_when_the_spool_is_opened(self, path: Path, sql: str) -> None:
        spool = sealed(path, 3)
        spool.receive(receipt(spool, 1, at=5))
        spool.close()
        damage(path, sql)
        again = open_spool(path, seed=2)
        assert again.origin is Origin.SALVAGED
        assert again.waiting_count >= 2

    def test_damage_anywhere_in_the_file_never_stops_the_agent(self, path: Path) -> None:
        spool = sealed(path, 60)
        spool.receive(receipt(spool, 20, at=5))
        spool.close()
        whole = path.read_bytes()
        draw = Random(7)
        for at in range(60):
            spoilt = bytearray(whole)
            for _ in range(draw.randrange(1, 4)):
                start = draw.randrange(len(spoilt))
                spoilt[start : start + draw.randrange(1, 600)] = draw.randbytes(draw.randrange(1, 600))
            for file in path.parent.iterdir():
                file.unlink()
            path.write_bytes(bytes(spoilt))
            again = open_spool(path, seed=at)
            again.seal([birth()], {"attempt": at})
            assert again.snapshot() == {"attempt": at}
            again.close()

    def test_only_the_last_damaged_files_are_kept(self, path: Path) -> None:
        for _ in range(12):
            path.write_bytes(b"damaged" * 1_000)
            FileDisk(path).move_aside()
        names = sorted(int(file.name.rpartition("-")[2]) for file in path.parent.iterdir())
        assert names == list(range(5, 13))


def damage(path: Path, sql: str) -> None:
    """Change the file behind the spool's back."""
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()
