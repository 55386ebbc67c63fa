"""What an exit code says; printed at the end of `--help`."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, the same for all of Meterseal's commands."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Wrong usage or configuration."""
    NOT_FOUND = 3
    REFUSED = 4
    TRY_AGAIN = 75
    """The same command may succeed later: no room, or not yet reachable."""


EPILOG = "exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 not found, 4 refused, 75 try again"
