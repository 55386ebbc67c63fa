"""The document: what a customer reads."""
