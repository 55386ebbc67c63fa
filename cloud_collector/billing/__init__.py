"""What is due, what is booked, runs and numbers."""
