"""What it costs so far, what it will come to, what another tariff would have made of it, and who is to be warned."""
