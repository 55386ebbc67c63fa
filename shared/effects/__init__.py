"""The few effects that are handed in: Clock, Link, Database, Workers.

Each has its real and its in-memory implementation beside its protocol; one suite of contract tests
runs against both. Nothing else in the package reads the wall clock, opens a socket or a database.
"""
