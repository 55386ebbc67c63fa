"""The rules of the house, held by reading the code: where effects may stand, how long a file may be."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("shared", "edge_agent", "cloud_collector")
CODE: Final = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LINES_MAX: Final = 400

# Where the world may be touched: effects, sources, commands. Everywhere else it is handed in.
EFFECT_ROOMS: Final = (
    "shared/effects/",
    "edge_agent/sources/",
    "edge_agent/installer/",  # looks at the machine and at lines, for people beside it.
    "edge_agent/cli/",
    "edge_agent/identity.py",  # makes the key, once, for the command line.
    "edge_agent/status_server.py",  # listens for people on the same machine; outside of every simulation.
    "edge_agent/local.py",  # a Unix socket for people on the same machine, outside of every simulation.
    "cloud_collector/cli/",
    "cloud_collector/web/server.py",  # listens for people; outside of every simulation.
    "cloud_collector/proof/command.py",
)
BANNED: Final = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "sleep", "clock_gettime", "clock_gettime_ns", "localtime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "os": {"urandom", "getrandom"},
    "random": {"random", "randrange", "randint", "choice", "choices", "shuffle", "sample", "uniform", "seed"},
    "uuid": {"uuid1", "uuid4"},
    "secrets": {"token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice"},
    "socket": {"socket", "create_connection"},
    "asyncio": {"sleep", "open_connection", "start_server"},
    "subprocess": {"run", "Popen", "check_output", "check_call"},
    "sqlite3": {"connect"},
}
FLOATLESS: Final = (
    "shared/",
    "cloud_collector/activity/",
    "cloud_collector/billing/",
    "cloud_collector/contracts/",
    "cloud_collector/invoice/",
    "cloud_collector/rating/",
    "cloud_collector/usage/",
)
FLOATS: Final = {("cloud_collector/contracts/node.py", 0.6)}
"""The likeness from which on a misspelled key is thought to mean another."""
FILE_CALLS: Final = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir"}
PURE: Final = (
    "shared/",
    "cloud_collector/activity/",
    "cloud_collector/contracts/",
    "cloud_collector/invoice/document.py",
    "cloud_collector/proof/verify.py",
    "cloud_collector/rating/",
    "cloud_collector/usage/",
    "edge_agent/meter.py",
    "edge_agent/metering.py",
    "edge_agent/reading.py",
    "edge_agent/timekeeping.py",
    "edge_agent/window.py",
)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _within(path: Path, rooms: tuple[str, ...]) -> bool:
    return _name(path).startswith(rooms)


def _yields(node: ast.AST) -> list[ast.Attribute]:
    # asyncio.sleep(0) gives others their turn and waits for no time.
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and [ast.unparse(a) for a in node.args]
    return [node.func] if called == ["0"] and node.func.attr == "sleep" else []  # type: ignore[attr-defined]


def _touches(path: Path) -> Iterator[str]:
    tree = _tree(path)
    turns = [turn for node in ast.walk(tree) for turn in _yields(node)]
    for node in ast.walk(tree):
        if node in turns:
            continue
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in BANNED.get(node.value.id, ()):
                yield f"{_name(path)}:{node.lineno} {node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in BANNED:
            for alias in node.names:
                if alias.name in BANNED[node.module]:
                    yield f"{_name(path)}:{node.lineno} from {node.module} import {alias.name}"


def test_time_chance_sockets_and_processes_are_handed_in() -> None:
    """P15: what is not handed in cannot be simulated, and does not give the same bytes twice."""
    found = [touch for path in CODE if not _within(path, EFFECT_ROOMS) for touch in _touches(path)]
    assert found == []


def test_the_rule_against_effects_can_fail() -> None:
    sample = ROOT / "shared" / "effects" / "clock.py"
    assert any("time.time_ns" in touch for touch in _touches(sample)), "the real clock touches time"


@pytest.mark.parametrize(
    "path", [path for path in CODE if _within(path, FLOATLESS) and not _within(path, EFFECT_ROOMS)], ids=_name
)
def test_no_float_comes_near_a_bill(path: Path) -> None:
    """P17: sums are exact."""
    for node in ast.walk(_tree(path)):
        number = node.value if isinstance(node, ast.Constant) else None
        assert type(number) is not float or (_name(path), number) in FLOATS, f"{_name(path)} {number}"
        called = node.func if isinstance(node, ast.Call) else None
        assert not (isinstance(called, ast.Name) and called.id == "float"), f"{_name(path)}"


@pytest.mark.parametrize(
    "path", [path for path in CODE if _within(path, PURE) and not _within(path, EFFECT_ROOMS)], ids=_name
)
def test_a_pure_room_imports_the_standard_library_pydantic_and_ourselves(path: Path) -> None:
    """P12: a base install verifies an invoice."""
    allowed = {*sys.stdlib_module_names, *PACKAGES, "pydantic"} | (
        {"nacl"} if _name(path) == "shared/key.py" else set()
    )
    for node in ast.walk(_tree(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        strangers = {name.partition(".")[0] for name in names} - allowed
        assert not strangers, f"{_name(path)} imports {strangers}"


@pytest.mark.parametrize(
    "path", [path for path in CODE if _within(path, PURE) and not _within(path, EFFECT_ROOMS)], ids=_name
)
def test_a_pure_room_opens_no_file(path: Path) -> None:
    for node in ast.walk(_tree(path)):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
        assert name not in FILE_CALLS, f"{_name(path)}:{getattr(node, 'lineno', 0)} {name}"


def test_a_file_is_one_noun() -> None:
    long = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


def test_a_file_says_what_it_is_for() -> None:
    assert [_name(path) for path in CODE if not ast.get_docstring(_tree(path))] == []


def _limits() -> list[str]:
    return [name for name in vars(importlib.import_module("shared.limits")) if name.isupper()]


def _named_in_tests() -> set[str]:
    others = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    return {word for path in others for word in re.findall(r"\b[A-Z][A-Z0-9_]+\b", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", _limits())
def test_every_limit_of_the_wire_is_named_by_a_test(name: str) -> None:
    """P9: a bound without a test is a wish."""
    assert name in _named_in_tests()


@pytest.mark.parametrize("module", ["edge_agent.agent", "edge_agent.cli.main"])
def test_the_agent_starts_without_pydantic(module: str) -> None:
    """It costs a gateway memory and seconds; a short-lived child validates the configuration."""
    script = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pydantic", "pydantic_core", "typer", "rich", "cloud_collector"} & set(json.loads(done.stdout))


def test_commands_are_those_that_the_documentation_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["scripts"]) == {"edge-agent", "cloud-collector", "verify-invoice"}
    for target in project["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), target


def test_the_wheel_holds_three_packages_and_no_tests() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    assert set(hatch["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
