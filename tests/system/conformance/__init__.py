"""The wire as a stranger builds it: from docs/reference/wire.md alone, without a line of the project's own code."""
