"""Evidence bundles and their offline verification."""
