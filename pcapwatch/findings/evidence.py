"""From an exemplar connection of the summary to a place a reader can open in Wireshark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcapwatch.findings.wording import endpoint
from pcapwatch.report.model import Evidence
from pcapwatch.summary import Exemplar, Summary
from pcapwatch.summary_of_files import FileFacts


def display_filter(exemplar: Exemplar) -> str:
    """A Wireshark display filter that shows one incarnation of a connection in the file of its first packet.

    The frame range keeps other incarnations of the same 4-tuple out; where the connection runs on into another file
    there is no upper end in this one.
    """
    (client, client_port), (server, server_port) = exemplar["client"], exemplar["server"]
    field = "ipv6.addr" if ":" in str(client) else "ip.addr"
    parts = [f"tcp.port=={client_port}", f"tcp.port=={server_port}", f"{field}=={client}"]
    parts += [f"{field}=={server}"] * (server != client)
    parts.append(f"frame.number>={exemplar['first_frame']}")
    if exemplar["file"] == exemplar["last_file"]:
        parts.append(f"frame.number<={exemplar['last_frame']}")
    return " && ".join(parts)


def evidence_of(summary: Summary, exemplars: Iterable[Exemplar], text: str) -> list[Evidence]:
    """One Evidence per exemplar, at its first frame; ``text`` says what is to be seen in it."""
    return [_evidence(summary, exemplar, text) for exemplar in exemplars]


def _evidence(summary: Summary, exemplar: Exemplar, text: str) -> Evidence:
    files = summary["capture"]["files"]
    where = endpoint(str(exemplar["client"][0]), exemplar["client"][1])
    closed = f", closed by {_closer(files, exemplar)}" if exemplar["closer_frame"] is not None else ""
    return Evidence(
        text=f"{where}: {text}{closed}",
        file=files[exemplar["file"]]["path"] if exemplar["file"] < len(files) else None,
        frame=exemplar["first_frame"],
        time_ns=exemplar["start_ns"],
        connection=exemplar["connection"],
        display_filter=display_filter(exemplar),
    )


def _closer(files: Sequence[FileFacts], exemplar: Exemplar) -> str:
    """The closing frame; with its file where that is another than the one named."""
    frame, place = f"frame {exemplar['closer_frame']}", exemplar["closer_file"]
    if place is None or place == exemplar["file"] or place >= len(files):
        return frame
    return f"{frame} of {files[place]['path']}"
