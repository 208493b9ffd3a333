"""What capture files tell, a part of the Summary: the JSON of ``engine/src/capture/facts.rs``, field for field."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

#: Counts under the contract's words, e.g. ``{"server": 12}``; a word that never occurred is absent.
Counts: TypeAlias = dict[str, int]


class LiveFacts(TypedDict):
    """What a live capture lost beside what its files say; all zero and ``None`` where files were read.

    goes_on: it is not over, and the report is of a moment of it; ring_losses: times that the ring was full; removed: by
    ``--keep``, so that they are not among the files;
    overwritten: files that are followed and were begun anew while they were read; unread: that could not be read;
    follow_error: why their folder cannot be looked through any more;
    unlisted: read, and too many to be all among the files.
    """

    goes_on: bool
    interface_downs: int
    ring_losses: int
    unwritten_packets: int
    write_error: str | None
    removed_files: int
    removed_packets: int
    removed_earlier_files: int
    overwritten_files: int
    unread_files: int
    follow_error: str | None
    unlisted_files: int
    unlisted_packets: int
    unlisted_dropped: int


class InterfaceFacts(TypedDict):
    """One interface of a capture file. ``snaplen`` 0 = no limit; ``read_as`` is a link type that the user stated.

    Counters are the file's own statistics, of the whole capture and not of this file.
    """

    name: str | None
    link_type: int
    read_as: int | None
    snaplen: int
    received: int | None
    dropped: int | None
    dropped_by_interface: int | None
    dropped_by_system: int | None
    accepted: int | None
    delivered: int | None
    counted_since_ns: int | None
    lost_between: int
    inbound: int
    outbound: int
    description: str | None
    hardware: str | None
    os: str | None
    filter: str | None
    resolution: int
    offset_s: int


class UnlistedFacts(TypedDict):
    """What interfaces tell that are beyond those listed, of all files.

    link_types: as the files state them, and as they were read if the user said so; dropped: beyond what the listed ones
    tell; uncounted_files: those that keep no count for these interfaces alone.
    """

    link_types: list[tuple[int, int | None]]
    snaplen: int
    dropped: int
    dropped_by_interface: bool
    dropped_by_system: bool
    uncounted_files: int


class CommentFacts(TypedDict):
    """A comment in a pcapng file: the kind of block, and the frame if that is a packet."""

    block: str
    frame: int | None
    text: str


class NameFacts(TypedDict):
    """A name that a pcapng file gives an address."""

    address: str
    name: str


class SecretFacts(TypedDict):
    """Decryption secrets of one type: counted, and not used."""

    blocks: int
    bytes: int


class PcapngFacts(TypedDict):
    """What the blocks of a pcapng file say. Lists are bounded, their counts are not; names only if asked for."""

    blocks: Counts
    interfaces: int
    broken_lists: int
    hardware: str | None
    os: str | None
    application: str | None
    comments: int
    comment_texts: list[CommentFacts]
    names: int
    name_records: list[NameFacts]
    secrets: dict[str, SecretFacts]


class RepeatedFacts(TypedDict):
    """A file that was given again, and read once."""

    path: str
    same_as: str


class Gap(TypedDict):
    """A time between two files, by index, of which nothing was captured, and why that is known.

    ``numbers``: those in the files' names leave ``missing_files`` out; ``cut``: the first one was cut; ``steps``: the
    files of the set begin in even steps, of which some are left out, so that files may be missing. 0: not known.
    """

    after_file: int
    file: int
    from_ns: int
    to_ns: int
    why: str
    missing_files: int


class ClockFacts(TypedDict):
    """Two points whose clocks differ: file and interface of the one that is ahead, by index, and of the other.

    Where it ``changes`` it was once no more than ``at_least_ns`` and once no less than ``at_most_ns``. Shown by
    ``packets`` that both have; where none are, by ``handshakes`` of which each has a part.
    """

    file: int
    interface: int
    than_file: int
    than_interface: int
    at_least_ns: int
    at_most_ns: int
    changes: bool
    packets: int
    handshakes: int


class FileFacts(TypedDict):
    """One capture file; ``problem`` says why reading stopped before its end, ``pcapng`` is ``None`` for pcap."""

    path: str
    format: str
    compression: str
    packets: int
    first_ns: int | None
    last_ns: int | None
    long_silences: int
    longest_silence_ns: int
    problem: str | None
    interfaces: list[InterfaceFacts]
    pcapng: PcapngFacts | None
