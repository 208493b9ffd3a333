"""What a host's kernel says, and what the report makes of it."""
