"""schemathesis finds nothing in the OpenAPI document: the real application, a store with data, every check it has."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from cloud_collector.access.pace import Pace, Paces
from cloud_collector.access.tokens import make_token
from cloud_collector.access.viewer import Deed
from cloud_collector.billing.archive import MemoryArchive
from cloud_collector.billing.disputes import Complaint, open_dispute
from cloud_collector.web.api import PATH, application, pulse
from cloud_collector.web.app import create_app
from shared.effects.memory import SimpleClock
from tests.api_world import NOW, filled, site_of
from tests.serving import served

pytestmark = pytest.mark.system

CASES: Final = 3
"""Of each operation, well formed and malformed each."""
DEEP_CASES: Final = 25
"""Of each operation, in each of schemathesis' phases that draws them."""
THERE: Final = {
    "account": "acme",
    "contract": "acme-chargers",
    "gateway": "roof-1",
    "device": "sdm630-1",
    "number": "INV-1",
    "webhook": "acme-bot",
    "checkpoint": 1,
    "revision": 1,
    "run": 1,
    "warning": 1,
    "delivery": 1,
    "dispute": 1,
    "day": "2026-10-05",
    "meter": "energy",
    "log": "main",
    "epoch": "5f2c91aa",
    "seq": 3,
    "place": 1,
}
"""Names that this world has: half of the requests ask for them."""
_DESCRIBED: Final = application(site_of(Path("unused"), MemoryArchive())).openapi()
OPERATIONS: Final = [(method, path) for path, methods in _DESCRIBED["paths"].items() for method in methods]


def unhurried() -> Pace:
    """Nobody is held off."""
    return Pace(at_once=10**9, each_ms=1, names=100)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """The application, and the token of whoever may do everything."""
    path = tmp_path_factory.mktemp("schemathesis") / "collector.db"
    site = replace(
        site_of(path, filled(path), clock=SimpleClock(utc_ms=NOW * 1_000)),
        local_operator=False,
        paces=Paces(addresses=unhurried(), viewers=unhurried(), guesses=unhurried(), sign_ins=unhurried()),
    )
    with site.writing() as store:
        secret = make_token(
            store, "tests", scopes=set(Deed), accounts=None, days=30, by="tests", chance=bytes(32), now_ms=NOW * 1_000
        )
        open_dispute(
            store,
            Complaint(
                account="acme", number="INV-1", place=1, amount="1 EUR", why="?", evidence=b"", holds=True, who="anna"
            ),
            now_ms=NOW * 1_000,
        )
    with pytest.MonkeyPatch.context() as patch:
        # A stream ends once it has told what was missed: what follows is listened to in test_client.
        patch.setattr(pulse, "STREAM_SECONDS", 0)
        yield create_app(site), secret


@pytest.fixture(scope="module")
def described(desk: tuple[Any, str]) -> Any:
    return schemathesis.openapi.from_asgi(f"{PATH}/openapi.json", desk[0])


@pytest.fixture(scope="module")
def answered() -> Counter[int]:
    return Counter()


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_schemathesis_finds_nothing(
    described: Any, desk: tuple[Any, str], answered: Counter[int], method: str, path: str, mode: GenerationMode
) -> None:
    @given(case=described[path][method.upper()].as_strategy(generation_mode=mode), there=st.booleans())
    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any, *, there: bool) -> None:
        if there and mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: THERE.get(name, value) for name, value in case.path_parameters.items()}
        answered[case.call_and_validate(headers={"Authorization": f"Bearer {desk[1]}"}).status_code] += 1

    try:
        holds()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "whatever is sent there is well formed"


def test_every_operation_is_tried_and_many_answer(answered: Counter[int]) -> None:
    assert len(OPERATIONS) > 40
    assert answered[429] == answered[401] == answered[403] == 0, "nobody is held off"
    assert answered[200] > len(OPERATIONS), "what is refused throughout is not tried"
    assert answered[404] > 0, "names are drawn that nobody has"


@pytest.mark.deep
def test_schemathesis_run_finds_nothing_with_all_its_checks(desk: tuple[Any, str], tmp_path: Path) -> None:
    """As somebody else would run it: over HTTP, all checks, all phases, links between operations followed."""
    app, secret = desk
    with served(app) as url:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis",
                *("run", f"{url}{PATH}/openapi.json", "--checks", "all", "--mode", "all", "--continue-on-failure"),
                *("--max-examples", str(DEEP_CASES), "--seed", "1", "--no-color", "--suppress-health-check", "all"),
                *("--header", f"Authorization: Bearer {secret}"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
