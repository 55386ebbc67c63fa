"""The zip around an evidence bundle, in its one form: the same files always make the same bytes (P15).

Stored, never deflated, so that no version of a compressor changes a byte; no times, no attributes
beyond "a readable file", no comments, no extra fields. Unpacking packs again and compares: a zip
that any tool opens but that is spelled otherwise is refused, so no byte of it is left unchecked.
Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from shared.errors import InvalidRecord, Refused

BUNDLE_BYTES_MAX: Final = 512 * 1024 * 1024
"""A bundle, in bytes: years of lines of a large site."""
BUNDLE_FILES_MAX: Final = 8_192

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_VERSION: Final = 20
_MADE_BY_UNIX: Final = (3 << 8) | _VERSION
_DATE_1980_01_01: Final = (1 << 5) | 1
_MODE_0644: Final = 0o100644 << 16


def pack(files: Mapping[str, bytes]) -> bytes:
    """The one zip that holds these files in this order; raises InvalidRecord beyond a bound."""
    if len(files) > BUNDLE_FILES_MAX:
        raise InvalidRecord(f"a bundle has at most {BUNDLE_FILES_MAX} files, not {len(files)}")
    body, directory, at = [], [], 0
    for name, content in files.items():
        path = name.encode("ascii")
        shape = (_DATE_1980_01_01, zlib.crc32(content), len(content), len(content), len(path), 0)
        body += [_LOCAL.pack(_LOCAL_MAGIC, _VERSION, 0, 0, 0, *shape), path, content]
        head = _CENTRAL.pack(b"PK\x01\x02", _MADE_BY_UNIX, _VERSION, 0, 0, 0, *shape, 0, 0, 0, _MODE_0644, at)
        directory += [head, path]
        at += _LOCAL.size + len(path) + len(content)
        if at > BUNDLE_BYTES_MAX:
            raise InvalidRecord(f"a bundle has at most {BUNDLE_BYTES_MAX} bytes")
    length = sum(map(len, directory))
    end = _END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), length, at, 0)
    return b"".join([*body, *directory, end])


def unpack(raw: bytes) -> dict[str, bytes] | Refused:
    """The files of a zip in its one form, or why it is not."""
    if len(raw) > BUNDLE_BYTES_MAX + BUNDLE_FILES_MAX * 512:
        return Refused(f"the bundle has {len(raw)} bytes, more than {BUNDLE_BYTES_MAX}")
    files = _walk(raw)
    if isinstance(files, Refused):
        return files
    if pack(files) != raw:
        return Refused("the zip is not in the one form that a bundle has: its structure was changed or rewritten")
    return files


def _walk(raw: bytes) -> dict[str, bytes] | Refused:
    files: dict[str, bytes] = {}
    at = 0
    while raw.startswith(_LOCAL_MAGIC, at):
        start = at + _LOCAL.size
        if start > len(raw) or len(files) == BUNDLE_FILES_MAX:
            return Refused("the zip ends inside a file's header, or has too many files")
        fields = _LOCAL.unpack_from(raw, at)
        size, name_length, extra_length = fields[8], fields[9], fields[10]
        content = start + name_length + extra_length
        at = content + size
        name = raw[start : start + name_length]
        if at > len(raw) or not name.isascii():
            return Refused("the zip is cut short, or a file's name is damaged")
        if name.decode("ascii") in files:
            return Refused(f"the zip holds {name.decode('ascii')} twice")
        files[name.decode("ascii")] = raw[content:at]
    return files or Refused("this is no zip file of a bundle")
