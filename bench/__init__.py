"""What is measured: `python -m bench` beside the neighbours, `python -m bench.instructions` against a baseline."""
