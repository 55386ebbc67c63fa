"""Whatever is done to devices, and whenever it is said: in the end the same has been billed, and bills prove it."""

import shutil
import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.device_states import Deed, keep
from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.contracts.catalog import State
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from cloud_collector.store.store import Store
from shared.effects.sqlite import SqliteDatabase
from tests.examples import examples
from tests.unit.billing_samples import GATEWAY_KEY, NOVEMBER, OCTOBER, RECEIPT_KEY, Gateway, new_store, october, receive
from tests.unit.billing_samples import store_biller as biller_of
from tests.unit.test_billing import body
from tests.unit.test_device_states import FIRST, PRICED, SECOND

DAY = 86_400
RUNS = (NOVEMBER + 3 * DAY, NOVEMBER + 33 * DAY, NOVEMBER + 64 * DAY)
LATEST = RUNS[-1] - 3 * DAY
TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())
ADVANCE = PRICED.replace("price = 31\n", 'price = 31\ndue = "advance"\n')
Said = tuple[str, State, int, int]
"""Device, state, from when on, before which run it is said."""
DEEDS = st.lists(
    st.tuples(
        st.sampled_from([FIRST, SECOND]),
        st.sampled_from(list(State)),
        st.integers(0, (LATEST - OCTOBER) // 3_600).map(lambda hours: OCTOBER + hours * 3_600),
        st.integers(0, 2),
    ),
    max_size=6,
    unique_by=lambda deed: deed[:3],
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three months of both meters, for each of the catalogs."""
    lines = october(Gateway(), days=95).lines
    found = {}
    for name, catalog in (("arrears", PRICED), ("advance", ADVANCE)):
        found[name] = tmp_path_factory.mktemp(name) / "collector.db"
        store = new_store(found[name], catalog)
        receive(store, lines, at=RUNS[-1])
        store.close()
    return found


@pytest.mark.parametrize("due", ["arrears", "advance"])
@given(deeds=DEEDS)
@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_said_late_is_billed_like_what_was_known_from_the_start(
    filled: dict[str, Path], due: str, deeds: list[Said]
) -> None:
    """P14, P12: split over runs as you like, and each invoice follows from its own bundle."""
    late = billed(filled[due], deeds)
    known = billed(filled[due], [(device, state, at, 0) for device, state, at, _ in deeds])
    assert late == known


def billed(filled: Path, deeds: list[Said]) -> dict[tuple[str, str, str], Decimal]:
    """By charge, device and start of service, what three runs took for it together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(filled, folder))
        store, archive = Store(SqliteDatabase(path)), MemoryArchive()
        biller, taken = biller_of(archive), defaultdict[tuple[str, str, str], Decimal](Decimal)
        for turn, now in enumerate(RUNS):
            for device, state, at, before in deeds:
                if before == turn:
                    deed = Deed(device=device, state=state, at=at, said_at=now * 1000, by_whom="Anna", reason="r")
                    keep(store, deed)
            report = bill_due(store, now * 1000, biller)
            assert report.of("parked") == ()
            for outcome in report.of("issued"):
                for line in body(archive.get(outcome.number or "") or b"")["lines"]:
                    taken[line["charge"], line["device"] or "", line["service_start"]] += Decimal(line["amount"])
                made = as_bundle(store, invoice(store, archive, outcome.number or ""), RECEIPT_KEY.public)
                assert verify(made, TRUST).findings == ()
        store.close()
    return {key: amount for key, amount in taken.items() if amount}
