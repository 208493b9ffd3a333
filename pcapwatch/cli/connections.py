"""``pcapwatch connections``: one row per TCP connection."""

from __future__ import annotations

from pcapwatch.cli import options
from pcapwatch.cli.table import print_table
from pcapwatch.settings import Settings

#: What text and Markdown show, most wanted first.
COLUMNS = (
    "connection",
    "client",
    "client_port",
    "server",
    "server_port",
    "close",
    "active_closer",
    "time_wait_holder",
    "time_wait_s",
    "time_wait_basis",
    "protocol",
    "requests",
    "close_announced_by",
    "race",
    "start",
    "history",
)


def connections(
    captures: options.Captures,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    time_wait: options.TimeWait = None,
    local: options.Local = False,
    relative: options.Relative = False,
    threads: options.Threads = None,
    max_connections: options.MaxConnections = None,
) -> None:
    """One row per TCP connection: who closed, who waited and how long, by which evidence.

    Formats: txt, md, csv, json, jsonl, parquet, arrow.
    """
    settings = Settings(
        threads=threads,
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        time_wait=time_wait or (),
        max_connections=max_connections,
        keep_connections=True,
    )
    print_table("connections", captures, settings, COLUMNS, output, format_, local=local, relative=relative)
