"""Who may see and do what: roles, tokens, people, sessions, and the log of what was done."""
