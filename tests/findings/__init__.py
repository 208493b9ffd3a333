"""Tests of the findings: what fires, what stays silent, what the verdict says."""
