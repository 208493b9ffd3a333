"""Live: the same answer while it happens."""
