"""``pcapwatch exchanges``: one row per HTTP/1.x request and response."""

from __future__ import annotations

from pcapwatch.cli import options
from pcapwatch.cli.table import print_table
from pcapwatch.settings import Settings

#: What text and Markdown show, most wanted first.
COLUMNS = (
    "connection",
    "index",
    "method",
    "target",
    "status",
    "request_version",
    "request_connection",
    "response_version",
    "response_connection",
    "keep_alive",
    "framing",
    "persistent",
    "host",
    "request_time",
)


def exchanges(
    captures: options.Captures,
    output: options.Output = None,
    format_: options.Format = None,
    filter_: options.Filter = None,
    link_type: options.LinkType = None,
    keep_duplicates: options.KeepDuplicates = False,
    full_urls: options.FullUrls = False,
    local: options.Local = False,
    relative: options.Relative = False,
    threads: options.Threads = None,
    max_connections: options.MaxConnections = None,
) -> None:
    """One row per HTTP/1.x request and response; secrets in URLs hidden unless --full-urls.

    Formats: txt, md, csv, json, jsonl, parquet, arrow.
    """
    settings = Settings(
        threads=threads,
        filter=filter_,
        link_type=link_type or (),
        keep_duplicates=keep_duplicates,
        full_urls=full_urls,
        max_connections=max_connections,
        keep_exchanges=True,
    )
    print_table("exchanges", captures, settings, COLUMNS, output, format_, local=local, relative=relative)
