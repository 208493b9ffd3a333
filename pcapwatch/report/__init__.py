"""The renderers of a report, one per file, over one model."""
