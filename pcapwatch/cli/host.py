"""``pcapwatch host``: what this host's kernel says of its sockets."""

from __future__ import annotations

from typing import Annotated

import typer

from pcapwatch.cli import options
from pcapwatch.cli.output import checked, deliver

FORMATS = ("txt", "json")

Netns = Annotated[
    str | None,
    typer.Option("--netns", metavar="NAME", help="Read this network namespace (ip netns list).", show_default=False),
]
Proc = Annotated[bool, typer.Option("--proc", help="Read /proc/net/tcp instead of netlink sock_diag.")]


def host(
    output: options.Output = None, format_: options.Format = None, netns: Netns = None, proc: Proc = False
) -> None:
    """Sockets, TIME_WAIT timers and the settings that matter, as this host's kernel tells them (Linux).

    Formats: txt, json. analyze --host-snapshot takes the json. Example: pcapwatch host -o db1.json
    """
    destinations = checked(output or [], format_, FORMATS)
    if output and format_ is None and not any(file is None for file, _ in destinations):
        destinations.append((None, "txt"))  # the page is for whoever stands before it, the file for later
    from pcapwatch.host.model import to_json
    from pcapwatch.host.page import render_host
    from pcapwatch.host.reader import read

    snapshot = read(netns, sock_diag=not proc)
    deliver(
        destinations,
        lambda name, width, _: (to_json(snapshot) if name == "json" else render_host(snapshot, width)).encode(),
    )
