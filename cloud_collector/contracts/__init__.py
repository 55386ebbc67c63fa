"""The catalog, its terms, and periods."""
