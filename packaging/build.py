"""`make deb`: the agent as a Debian package, with everything that it needs from PyPI inside.

The package is a venv under /opt/meterseal that uses Debian's own Python: nothing is fetched when it is
installed, and nothing but ready-made wheels goes in, so that it is built for any architecture on any.
What has no wheel for an architecture is taken from Debian, or the build ends and says what is missing.
"""

import argparse
import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DEBIAN: Final = ROOT / "packaging" / "debian"
PYTHON: Final = "3.11"
"""Debian 12's Python; wheels with compiled code are of one."""
NAME: Final = "meterseal-edge-agent"
HOME: Final = "opt/meterseal"
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
GLIBC: Final = ("2_17", "2_28", "2_31", "2_34", "2_36")
"""What wheels may ask of Debian 12's C library (2.36)."""
NOT_OF_AGENT: Final = {"collector", "demo", "dev", "einvoice", "parquet", "postgres"}
"""Extras that no source and no command of the agent needs."""
FROM_DEBIAN: Final = {
    "cffi": ("python3-cffi-backend", "Depends"),
    "pynacl": ("python3-nacl", "Depends"),
    "pyyaml": ("python3-yaml", "Depends"),
    "lgpio": ("python3-lgpio", "Recommends"),
}
"""What may be taken from Debian where PyPI has no wheel, and how much is lost without it."""


class NoWheel(Exception):
    """PyPI has no wheel of it for this architecture, and Debian has no package that could stand in."""


def main() -> int:
    """Build the package for each architecture that is named; 1 where one could not be built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--arch", nargs="+", choices=MACHINES, default=["amd64"])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        sys.stderr.write(f"the package is for Python {PYTHON}, and is built by it: this is {sys.version.split()[0]}\n")
        return 1
    options.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wheel = built_wheel(Path(folder))
        pinned = closure(wheel)
        for arch in options.arch:
            try:
                print(package(arch, wheel, pinned, Path(folder) / arch, options.out))
            except NoWheel as error:
                sys.stderr.write(f"{arch}: {error}\n")
                return 1
    return 0


def built_wheel(folder: Path) -> Path:
    """This tree as a wheel."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def closure(wheel: Path) -> dict[str, str]:
    """Everything that the agent and its sources need besides the wheel, by name, with its version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ",".join(sorted(set(project["optional-dependencies"]) - NOT_OF_AGENT))
    constraint = ["--constraint", str(ROOT / "constraints.txt")]
    asked = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-", *constraint]
    report = json.loads(pip(*asked, f"{wheel}[{extras}]").stdout)
    found = {item["metadata"]["name"].lower().replace("_", "-"): item["metadata"] for item in report["install"]}
    return {name: str(item["version"]) for name, item in sorted(found.items()) if name != "meterseal"}


def package(arch: str, wheel: Path, pinned: dict[str, str], tree: Path, out: Path) -> Path:
    """The package of one architecture, as a file."""
    site = tree / HOME / "lib" / f"python{PYTHON}" / "site-packages"
    site.mkdir(parents=True)
    borrowed = []
    for name, version in pinned.items():
        if fetched(arch, f"{name}=={version}", site):
            continue
        if name not in FROM_DEBIAN:
            raise NoWheel(f"{name} {version} has no wheel for {MACHINES[arch]}")
        borrowed.append(FROM_DEBIAN[name])
    if not fetched(arch, str(wheel), site):
        raise NoWheel(f"{wheel.name} does not fit Python {PYTHON}")
    for needless in (site / "bin", *site.glob("*/tests"), *site.glob("*/test")):
        shutil.rmtree(needless, ignore_errors=True)
    compileall.compile_dir(
        site,
        quiet=2,
        stripdir=str(tree),
        prependdir="/",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    environment(tree, borrows=bool(borrowed))
    files(tree)
    control(tree, arch, wheel.name.split("-")[1], borrowed)
    return packed(tree, arch, wheel.name.split("-")[1], out)


def fetched(arch: str, requirement: str, site: Path) -> bool:
    """Whether there was a wheel for the architecture; it is unpacked then."""
    machine = MACHINES[arch]
    tags = [f"manylinux_{glibc}_{machine}" for glibc in GLIBC] + [f"manylinux2014_{machine}", "any"]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    abis = [word for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)]
    fixed = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    done = pip("install", "--quiet", "--no-compile", "--target", str(site), *fixed, *platforms, *abis, requirement)
    return done.returncode == 0


def environment(tree: Path, *, borrows: bool) -> None:
    """A venv around Debian's Python, and the commands in it."""
    home = tree / HOME
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(f"/usr/bin/python{PYTHON}")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = {str(borrows).lower()}\nversion = {PYTHON}\n",
        encoding="ascii",
    )
    for name, module in (("edge-agent", "edge_agent.cli.main"), ("verify-invoice", "cloud_collector.proof.command")):
        script = home / "bin" / name
        script.write_text(
            f"#!/{HOME}/bin/python3 -I\nimport sys\nfrom {module} import main\nsys.exit(main())\n", encoding="ascii"
        )
        script.chmod(0o755)
        link = tree / "usr" / "bin" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/{HOME}/bin/{name}")


def files(tree: Path) -> None:
    """What lies outside of /opt: the unit, the configuration, the documentation."""
    systemd = ROOT / "config" / "systemd"
    doc = tree / "usr" / "share" / "doc" / NAME
    place(systemd / "edge-agent.service", tree / "usr" / "lib" / "systemd" / "system" / "edge-agent.service")
    for example in sorted((systemd / "edge-agent.service.d").iterdir()):
        place(example, doc / "examples" / example.name)
    for page in ("how-to/systemd.md", "how-to/install-on-a-pi.md", "reference/edge-agent.md"):
        place(ROOT / "docs" / page, doc / Path(page).name)
    place(ROOT / "docs" / "reference" / "configuration.md", doc / "configuration.md")
    place(DEBIAN / "copyright", doc / "copyright")
    text = (ROOT / "config" / "agent.toml").read_text(encoding="utf-8")
    there = '#key_file = "/var/lib/meterseal/gateway.key"\n'
    assert there in text, "the example names the key's place"
    config = tree / "etc" / "meterseal" / "agent.toml"
    config.parent.mkdir(parents=True)
    config.write_text(text.replace(there, 'key_file = "/etc/meterseal/gateway.key"\n', 1), encoding="utf-8")
    config.chmod(0o644)


def place(source: Path, target: Path) -> None:
    """A copy that everybody may read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def control(tree: Path, arch: str, version: str, borrowed: list[tuple[str, str]]) -> None:
    """What dpkg is told."""
    folder = tree / "DEBIAN"
    folder.mkdir()
    following = f"python3 (<< 3.{int(PYTHON.split('.')[1]) + 1})"
    lists: dict[str, list[str]] = {"Depends": [f"python3 (>= {PYTHON})", following], "Recommends": []}
    for name, how in borrowed:
        lists[how].append(name)
    kilobytes = sum(path.lstat().st_size for path in tree.rglob("*")) // 1024
    fields = [
        f"Package: {NAME}",
        f"Version: {version}",
        f"Architecture: {arch}",
        *(f"{how}: {', '.join(names)}" for how, names in lists.items() if names),
        f"Installed-Size: {kilobytes}",
    ]
    rest = (DEBIAN / "control").read_text(encoding="utf-8")
    (folder / "control").write_text("\n".join(fields) + "\n" + rest, encoding="utf-8")
    (folder / "conffiles").write_text("/etc/meterseal/agent.toml\n", encoding="ascii")
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(DEBIAN / name, folder / name)
        (folder / name).chmod(0o755)


def packed(tree: Path, arch: str, version: str, out: Path) -> Path:
    """The tree as a .deb; the same tree gives the same bytes."""
    for path in tree.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
        if path.is_dir():
            path.chmod(0o755)
    file = out / f"{NAME}_{version}_{arch}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(file)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1767225600"})
    return file


def pip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Pip, without a word to people."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
