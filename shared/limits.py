"""Every bound of the wire, in one place, each with its unit (P9).

Source: docs/reference/wire.md, section 8. What happens at a bound is tested in
`tests/unit/test_limits.py`.
"""

from typing import Final

PAYLOAD_BYTES_MAX: Final = 256 * 1024
"""A payload, inflated."""
PAYLOAD_DEFLATED_BYTES_MAX: Final = 64 * 1024
"""A payload as it travels, where it is deflated."""
PAYLOAD_LINES_MAX: Final = 32
LINE_BYTES_MAX: Final = 128 * 1024
LINE_ROWS_MAX: Final = 1_024
LINE_INTERVALS_MAX: Final = 1_440
INVOICE_BYTES_MAX: Final = 64 * 1024 * 1024
"""An MI1 line; it never travels by MQTT."""

INTEGER_MAX: Final = 2**53 - 1
"""The largest magnitude of any integer, so that every JSON reader agrees on it."""
EXPONENT_MAX: Final = 12
STEP_SECONDS_MAX: Final = 86_400
TIME_SECONDS_MAX: Final = 2**33 - 1
JSON_DEPTH_MAX: Final = 4
INVOICE_JSON_DEPTH_MAX: Final = 8

GATEWAY_CHARS_MAX: Final = 32
NAME_CHARS_MAX: Final = 32
"""Log, device and meter names."""
UNIT_CHARS_MAX: Final = 32
SERIAL_CHARS_MAX: Final = 64
AGENT_CHARS_MAX: Final = 64
SOURCE_CHARS_MAX: Final = 32
WHY_CHARS_MAX: Final = 256
"""What an answer to a command says in words."""
ENROLMENT_TEXT_CHARS_MAX: Final = 8_192
"""One text of an enrolment's request or answer; a certificate is the longest."""
ENROLMENT_BYTES_MAX: Final = 64 * 1024
"""A request or an answer of enrolment."""
ORIGIN_CHARS_MAX: Final = 128
"""The name of a checkpoint log."""
GATEWAY_LOGS_MAX: Final = 64

SUMMARY_COVERS_MAX: Final = 64
RECEIPT_MISSING_MAX: Final = 64
RECEIPT_ASIDE_MAX: Final = 32
RECEIPT_REPEAT_SECONDS: Final = 1
"""A gateway's log is answered with its current receipt at most once in this time."""
REFUSED_SAMPLES_MAX: Final = 100
"""Lines with a failing signature that are kept for each gateway."""
RECEIPTED_KEEP_SECONDS: Final = 86_400
"""A gateway keeps receipted lines at least this long while there is room."""
UPLINK_WINDOW_LINES: Final = 32
"""31 lines of the backlog from the oldest, and one place for the newest."""
