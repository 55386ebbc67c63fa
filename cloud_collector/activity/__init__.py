"""First use and the device's states: usage and contracts in, starts with evidence out."""
