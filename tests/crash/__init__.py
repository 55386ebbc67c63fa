"""Real processes, real brokers, SIGKILL."""
