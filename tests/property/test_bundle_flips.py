"""P11, P12: no byte of a bundle can be changed without being found; none of them is harmless.

The stated rule is short: a bundle has one form, so a flip in the zip's structure is found by making it again, and a
flip in a file is found by signature, hash or re-composition even when the zip around it is repaired.
"""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_collector.billing.export import as_bundle, invoice
from cloud_collector.billing.run import bill_due
from cloud_collector.proof.container import pack, unpack
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import verify
from shared.errors import Refused
from tests.examples import examples
from tests.unit.billing_samples import (
    GATEWAY_KEY,
    NOVEMBER,
    RECEIPT_KEY,
    Gateway,
    new_store,
    october,
    receive,
    store_biller,
)

TRUST = Trust(fingerprints=frozenset({RECEIPT_KEY.public.sha256, GATEWAY_KEY.public.sha256}), words=frozenset())


@cache
def bundle() -> bytes:
    store, biller, now = new_store(), store_biller(), NOVEMBER + 3 * 86_400
    receive(store, october(Gateway()).lines, at=now)
    bill_due(store, now * 1000, biller)
    made = as_bundle(store, invoice(store, biller.archive, "INV-1"), RECEIPT_KEY.public)
    assert verify(made, TRUST).ok
    return made


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_a_flipped_byte_of_the_file_is_found(data: st.DataObject) -> None:
    raw = bytearray(bundle())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert not verify(bytes(raw), TRUST).ok


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_a_flipped_byte_of_a_file_is_found_although_the_zip_is_repaired(data: st.DataObject) -> None:
    files = unpack(bundle())
    assert not isinstance(files, Refused)
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    assert not verify(pack(files | {name: bytes(content)}), TRUST).ok


@settings(max_examples=examples(100), deadline=None)
@given(st.data())
def test_a_cut_or_an_insertion_is_found_although_the_zip_is_repaired(data: st.DataObject) -> None:
    files = unpack(bundle())
    assert not isinstance(files, Refused)
    name = data.draw(st.sampled_from(sorted(files)))
    content = files[name]
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, min(len(content), start + 2_000)))
    middle = data.draw(st.binary(max_size=20))
    changed = content[:start] + middle + content[end:]
    if changed != content:
        assert not verify(pack(files | {name: changed}), TRUST).ok


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=400))
def test_whatever_bytes_come_they_are_answered_and_never_raise(raw: bytes) -> None:
    """P8."""
    assert not verify(raw, TRUST).ok
    assert not verify(bundle()[: len(raw) * 100] + raw, TRUST).ok
