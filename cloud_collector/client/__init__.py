"""The HTTP interface from a program's side: its records, shared with the server, and a client that speaks them."""
