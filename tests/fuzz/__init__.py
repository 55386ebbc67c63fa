"""Bad input for intake, without end."""
