"""The agent on the gateway: source → meter → spool → seal → uplink."""
