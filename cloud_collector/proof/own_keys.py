"""What evidence says of itself: checked with the keys that are in it, where the reader compares them by himself."""

from cloud_collector.proof.bundle import Bundle, from_zip, read_keys
from cloud_collector.proof.trust import Trust
from cloud_collector.proof.verify import Verification, verify
from shared.errors import Refused


def verified_by_its_own_keys(bundle: bytes) -> Verification:
    """What `verify-invoice` says of it, trusting the keys that are in it: whose they are is the reader's to compare."""
    opened = from_zip(bundle)
    keys = read_keys(opened.keys) if isinstance(opened, Bundle) else opened
    if isinstance(keys, Refused):
        return verify(bundle, Trust(fingerprints=frozenset(), words=frozenset()))
    operator, gateways = keys
    trusted = frozenset({operator.sha256, *(each.key.sha256 for each in gateways)})
    return verify(bundle, Trust(fingerprints=trusted, words=frozenset()))
