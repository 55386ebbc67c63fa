"""A whole site on one machine: broker, collector and three agents, from an empty folder to verified invoices."""
