"""What keeps a collector in order: backups, alarms, checkpoints, what to look at when something is wrong."""
