"""The only code that makes an amount."""
