"""Every bound of the agent, in one place, each with its unit (P9). The wire's own are in `shared.limits`."""

from typing import Final

SPOOL_CHAINS_MAX: Final = 256
"""Chains of former epochs without a line that are remembered; beyond, the first are dropped."""
SPOOL_FORGET_LINES: Final = 256
"""Receipted lines deleted at a time when room is needed."""
FOLD_LINES_MAX: Final = 256
"""Usage and gap lines folded into one summary; the loop of readings waits while that is done."""
FOLD_READ_LINES: Final = 16
"""Lines read at a time while they are folded."""
FOLD_AGAIN_SHARE: Final = 2
"""Summaries are folded again before more lines are, once they take one part in so many of the spool."""
FOLD_PATIENCE_SEALS: Final = 16
"""Where nothing could be folded, so many transactions pass before it is looked for again without need."""
FOLD_SUMMARIES_MAX: Final = 62
"""Summaries folded into another: each adds its own position to the at most 64 ranges that it covers."""
FOLD_LOOK_LINES: Final = 512
"""Summaries looked at for what may be folded again."""
FORGOTTEN_AT_ONCE_MAX: Final = 16
"""Ranges of forgotten lines that one request is answered with; the next one is answered with more."""
SPOOL_ROOM_SHARE: Final = 16
"""An agent starts, and history flows, only while one part in so many of the spool is free."""
SPOOL_ROOM_LOOK_SECONDS: Final = 10.0
"""How often an agent that found no room looks again while it sends what it holds."""
SPOOL_DAMAGED_FILES_MAX: Final = 8
"""Damaged spools kept aside for people; the oldest goes when a ninth comes."""
SPOOL_CHECK_LINES: Final = 256
"""Lines read at a time when the spool is checked or salvaged."""
SALVAGE_ROWS_STEP_MAX: Final = 65_536
"""How far salvage leaps over unreadable rows at most."""

SALVAGE_FAILURES_MAX: Final = 1_000
"""Unreadable places after which salvage takes the rest as lost."""

UPLINK_BACKLOG_LINES: Final = 31
"""Of the window of 32 lines in flight, those for the backlog from the oldest; one place is for the newest."""
UPLINK_PAYLOAD_BYTES: Final = 64 * 1024
"""Lines that go in one payload: deflated it keeps its bound, and the next is made while the collector takes it."""
UPLINK_FLIGHTS_MAX: Final = 256
"""Lines whose sendings are remembered; beyond, only those in the window."""
UPLINK_RESTING_SENDINGS: Final = 2
"""A line that no receipt will ever confirm rests after so many sendings, each followed by a receipt at or beyond it."""
RESEND_SECONDS_MIN: Final = 5.0
"""The backoff's first bound for a line without a receipt; doubled each time, drawn evenly below (full jitter)."""
RESEND_SECONDS_MAX: Final = 900.0
RESEND_TOGETHER_MS: Final = 1_000
"""Resends that are due within this time go in one payload."""
RESEND_DOUBLINGS_MAX: Final = 10
"""So that the backoff's arithmetic stays small however long an outage lasts."""
RESEND_AFTER_RECONNECT_SECONDS_MAX: Final = 60.0
"""A new session brings every resend forward to within this time: the last one may have lost them."""
RECONNECT_SECONDS_MIN: Final = 1.0
"""The backoff's first bound between sessions."""
RECONNECT_SECONDS_MAX: Final = 300.0
RECONNECT_STABLE_SECONDS: Final = 180.0
"""A session of this length sets the backoff between sessions back."""
DRAIN_DELAY_SECONDS_MAX: Final = 30.0
"""After an outage a gateway waits up to so long before it drains, so that a fleet does not come back as one."""
OUTAGE_SECONDS_MIN: Final = 60.0
"""What is shorter is no outage and needs no delay."""
HEALTH_SECONDS: Final = 60.0
COMMAND_ANSWERS_MAX: Final = 16
"""Answers to commands that are kept, to be given again."""
COMMANDS_WAITING_MAX: Final = 8
"""Commands heard and not yet done; further ones are dropped, and the collector sends them again."""
SEND_AGAIN_RANGES_MAX: Final = 16
"""Ranges of lines that commands have asked for and that are not sent yet; further ones push the first out."""
PUBLISH_SECONDS_MAX: Final = 30.0
"""A broker that takes longer to acknowledge has lost the session."""

BACKLOG_LINES_MAX: Final = 2_048
"""Unreceipted lines at which a source of historic readings is no longer asked for more."""
READ_SECONDS_MAX: Final = 30.0
"""A source that takes longer to answer is down for this round."""
READINGS_CHUNK_MAX: Final = 512
"""Readings that are metered and committed at a time."""
KEEPER_SECONDS_MIN: Final = 1.0
"""The keeper of windows and commits rests at least so long between two looks."""
BACKLOG_WAIT_SECONDS: Final = 0.5
"""How long history waits before it looks at the backlog again."""
STOP_SECONDS_MAX: Final = 10.0
"""How long a farewell may take."""
ROUND_GRACE_SECONDS: Final = 90.0
"""How much later than it is due a loop may turn before the watchdog's beat stops."""
STATE_PROBLEM_CHARS_MAX: Final = 2_000
"""What the state topic says of a broken configuration, at most."""
RENEWAL_LOOK_SECONDS: Final = 3_600.0
"""How often it is looked whether the certificate is due."""
RENEWAL_RETRY_SECONDS: Final = 900.0
"""About how long lies between two attempts to renew it."""
