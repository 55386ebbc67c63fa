"""What the collector tells people, and over which way."""
