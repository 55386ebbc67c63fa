"""What whoever fits a gateway needs to know of the machine, the line to the meter and the way to the collector."""
