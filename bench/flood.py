"""A flood of SYNs from random sources into ``pcapwatch analyze -``: how much memory it takes, and how long.

    python -m bench.flood --bytes 10e9
    python -m bench.flood --bytes 3e8 -- states - --every 1s

The capture is made as a stream and never stored. Prints one line; docs/limits.md quotes it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ANALYZE = ("analyze", "-", "--format", "json")
PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
SYN = 2
RECORD_BYTES = 16 + 58
PER_SECOND = 100_000
#: Bytes from one line about the peak so far to the next.
TELL_EVERY = 500_000_000

# VmHWM and not getrusage: the latter's peak is inherited from the process that forked this one.
WATCHED = r"""
import os, re, sys
from pathlib import Path
from pcapwatch.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stdout.flush()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    os.write(2, b"\nPEAK " + peak[1].encode())
"""


def frame(flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
    """An Ethernet frame from 10.0.0.1:1024 to 10.0.0.2:80, sequence number 1, checksums left zero."""
    tcp = struct.pack(">HHIIBBHHH", 1024, 80, 1, 1, (20 + len(options)) // 4 << 4, flags, 512, 0, 0) + options
    length = 20 + len(tcp) + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 1, 0x4000, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return bytes(12) + b"\x08\0" + ip + tcp + payload


def record(seconds: int, data: bytes) -> bytes:
    """A pcap record."""
    return struct.pack("<IIII", seconds, 0, len(data), len(data)) + data


def records(template: bytes, count: int) -> np.ndarray:
    """So many copies of a record, a row each, that are then made different column by column."""
    return np.tile(np.frombuffer(template, dtype=np.uint8), (count, 1))


def syn_flood(packets: int, seed: int = 1) -> Iterator[bytes]:
    """SYNs of 58 bytes from random sources, 100,000 a second."""
    random = np.random.default_rng(seed)
    template = record(0, frame(SYN, options=b"\2\4\5\xb4"))
    yield PCAP
    for done in range(0, packets, PER_SECOND):
        rows = records(template, min(PER_SECOND, packets - done))
        rows[:, 0:4] = np.frombuffer(struct.pack("<I", 1_700_000_000 + done // PER_SECOND), dtype=np.uint8)
        rows[:, 16 + 26 : 16 + 30] = random.integers(0, 256, (len(rows), 4), dtype=np.uint8)
        rows[:, 16 + 34 : 16 + 36] = random.integers(0, 256, (len(rows), 2), dtype=np.uint8)
        rows[:, 16 + 38 : 16 + 42] = random.integers(0, 256, (len(rows), 4), dtype=np.uint8)
        yield rows.tobytes()


def _peak_kib(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def main() -> None:
    """Run it and print packets, evicted connections, peak memory and time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=float, default=1e9, help="how long the capture is (10e9)")
    parser.add_argument("command", nargs="*", default=ANALYZE, help="of pcapwatch, reading - (analyze)")
    arguments = parser.parse_args()
    size = arguments.bytes
    packets, begun = int(size) // RECORD_BYTES, time.monotonic()
    command = [sys.executable, "-c", WATCHED, *arguments.command]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, env={**os.environ, "NO_COLOR": "1"}) as process:
        written = told = 0
        for chunk in syn_flood(packets):
            process.stdin.write(chunk)  # type: ignore[union-attr]  # it is a pipe
            written += len(chunk)
            if written - told >= TELL_EVERY:
                told = written
                peak_mib = _peak_kib(process.pid) / 1024
                print(f"{written / 1e9:.1f} GB: peak {peak_mib:.0f} MiB", file=sys.stderr, flush=True)
        out, err = process.communicate()
    text, _, peak = err.decode().rpartition("\nPEAK ")
    if process.returncode:
        sys.exit(text)
    evicted = f", {json.loads(out)['capture']['evicted_connections']:,} evicted" if out.startswith(b"{") else ""
    lasted_s = time.monotonic() - begun
    print(f"{size / 1e9:.1f} GB, {packets:,} SYNs{evicted}: peak {int(peak) / 1024:.0f} MiB, {lasted_s:.0f} s")


if __name__ == "__main__":
    main()
