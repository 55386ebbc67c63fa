"""A bundle's zip has one form: ordinary tools open it, and nothing in it goes unchecked."""

import io
import zipfile

import pytest

from cloud_collector.proof import container
from shared.errors import InvalidRecord, Refused

FILES = {"invoice.ms": b"MI1|{}|x", "lines/gw.main.ms": b"a\nb\n", "README.txt": b""}


def test_an_ordinary_tool_opens_a_bundle() -> None:
    with zipfile.ZipFile(io.BytesIO(container.pack(FILES))) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == FILES


def test_the_same_files_make_the_same_bytes() -> None:
    """P15."""
    assert container.pack(FILES) == container.pack(dict(FILES))
    assert container.unpack(container.pack(FILES)) == FILES


def test_every_flipped_bit_of_a_zip_is_found() -> None:
    """P11: also in headers, in names, in the directory, in what tools ignore."""
    raw = container.pack(FILES)
    for place in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            assert isinstance(container.unpack(bytes(flipped)), Refused), (place, bit)


def test_every_cut_of_a_zip_is_found() -> None:
    raw = container.pack(FILES)
    for length in range(len(raw)):
        assert isinstance(container.unpack(raw[:length]), Refused), length
    assert isinstance(container.unpack(raw + b"\0"), Refused)


def test_a_zip_of_the_same_files_from_another_tool_is_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in FILES.items():
            zipped.writestr(name, content)
    assert isinstance(container.unpack(made.getvalue()), Refused)


def test_a_name_that_stands_twice_is_refused() -> None:
    raw = container.pack(FILES)
    first = raw[: raw.index(b"PK\x03\x04", 4)]
    assert container.unpack(first + raw) == Refused("the zip holds invoice.ms twice")


def test_the_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9."""
    monkeypatch.setattr(container, "BUNDLE_BYTES_MAX", 100)
    monkeypatch.setattr(container, "BUNDLE_FILES_MAX", 2)
    with pytest.raises(InvalidRecord, match="at most 2 files"):
        container.pack(FILES)
    with pytest.raises(InvalidRecord, match="at most 100 bytes"):
        container.pack({"a": b"x" * 101})
    monkeypatch.setattr(container, "BUNDLE_BYTES_MAX", 10**6)
    monkeypatch.setattr(container, "BUNDLE_FILES_MAX", 10)
    raw = container.pack(FILES)
    monkeypatch.setattr(container, "BUNDLE_FILES_MAX", 2)
    assert isinstance(container.unpack(raw), Refused)
    monkeypatch.setattr(container, "BUNDLE_BYTES_MAX", -(10**6))
    assert isinstance(container.unpack(raw), Refused)
