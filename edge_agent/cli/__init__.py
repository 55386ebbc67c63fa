"""The installer's commands."""
