"""The collector: intake → store → usage → activity → rating → billing → invoice."""
