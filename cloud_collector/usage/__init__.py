"""Facts in, quantities out."""
