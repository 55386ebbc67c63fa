"""The collector: intake → store → usage → activity → rating → billing → invoice."""

import zoneinfo

# P12, P15: an invoice names the version of its time zones. They are that wheel's, and not what the machine has.
zoneinfo.reset_tzpath(to=())
