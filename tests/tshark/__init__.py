"""Cross-checks with tshark: what Wireshark's dissectors count in a capture, beside what the tool counts."""
