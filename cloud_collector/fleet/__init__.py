"""Gateways, their keys, epochs and holes."""
