"""tshark's reading of a capture: per TCP stream its first frame, the FIN that it calls active, the HTTP messages."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TSHARK = shutil.which("tshark")
FIELDS = (
    "tcp.stream",
    "frame.number",
    "tcp.srcport",
    "ip.src",
    "ipv6.src",
    "tcp.connection.fin_active",
    "http.request.method",
    "http.response.code",
    "http.connection",
)


@dataclass
class Stream:
    """One tcp.stream. Endpoints are (address, port) as text; `options` are Connection headers by sender, in order."""

    number: int
    first_frame: int
    fin_active: tuple[str, str] | None = None
    requests: int = 0
    responses: int = 0
    options: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def read_streams(capture: Path) -> list[Stream]:
    """All TCP streams of a capture, reassembled out of order too (tshark's default is not to)."""
    command = [
        str(TSHARK),
        "-n",
        "-o",
        "tcp.reassemble_out_of_order:TRUE",
        "-r",
        str(capture),
        "-Y",
        "tcp.stream",
        "-T",
        "fields",
        "-E",
        "occurrence=a",
    ]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    streams: dict[int, Stream] = {}
    for line in done.stdout.splitlines():
        values = dict(zip(FIELDS, line.split("\t"), strict=False))
        number = values["tcp.stream"].split(",")[-1]
        if number:
            add(streams, int(number), values)
    return list(streams.values())


def add(streams: dict[int, Stream], number: int, values: dict[str, str]) -> None:
    """Count one frame."""
    stream = streams.setdefault(number, Stream(number, int(values["frame.number"])))
    address = (values.get("ip.src") or values.get("ipv6.src") or "").split(",")[-1]
    sender = (address, values["tcp.srcport"].split(",")[-1])
    if values.get("tcp.connection.fin_active") and stream.fin_active is None:
        stream.fin_active = sender
    stream.requests += count(values.get("http.request.method", ""))
    finals = [code for code in values.get("http.response.code", "").split(",") if code]
    stream.responses += sum(code[0] != "1" or code == "101" for code in finals)
    if values.get("http.connection"):
        stream.options.setdefault(sender, []).extend(values["http.connection"].lower().split(","))


def count(joined: str) -> int:
    """How many values tshark joined with commas."""
    return len([v for v in joined.split(",") if v])


def tshark_version() -> str:
    """Major and minor version, such as "4.0"; empty where tshark is missing."""
    if TSHARK is None:
        return ""
    done = subprocess.run([TSHARK, "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"(\d+\.\d+)\.\d+", done.stdout)
    return found[1] if found else ""
