"""Programs that make what the template bundles."""
