"""A tcpdump filter expression into classic BPF, one program per link type, by the machine's libpcap.

libpcap is loaded at run time: without a filter nothing needs it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import struct
from functools import cache
from typing import Any

from pcapwatch.errors import UsageError
from pcapwatch.settings import shown

#: The link types the engine reads, as files state them.
LINKTYPES = (
    0, 1, 9, 12, 13, 14, 50, 51, 100, 101, 104, 105, 108, 109, 113, 117, 119, 127, 163, 166, 192, 204, 226, 228, 229,
    239, 258, 276,
)  # fmt: skip
#: Those by which libpcap knows none, and another that is the same: OpenBSD's own numbers.
_SAME_AS = {13: 109, 14: 101}
#: The numbers by which libpcap calls some on Linux.
_DLT = {14: 12, 101: 12}
#: Those that most captures have.
_USUAL = frozenset({1, 101, 113, 276})
#: Instructions of the longest program that the engine takes (``BPF_MAXINSNS``).
_MOST_INSTRUCTIONS = 4096

_SNAPLEN = 262_144
_NETMASK_UNKNOWN = 0xFFFFFFFF
#: ``PCAP_ERRBUF_SIZE``.
_ERROR_BYTES = 256
#: ``ret #0``: no packet passes.
_REJECT = [[0x06, 0, 0, 0]]


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.POINTER(_Instruction)))


def compile_filter(expression: str) -> dict[str, list[list[int]]]:
    """Programs by link type, each a list of ``[code, jt, jf, k]``.

    A link type on which the expression has no meaning (``ether host`` on raw IP) gets a program that passes nothing. If
    it has none on Ethernet and on all others, ``UsageError`` carries libpcap's own message.
    """
    compiled = {link: _compile(expression, link, optimized=link in _USUAL) for link in LINKTYPES}
    if all(isinstance(program, str) for program in compiled.values()):
        raise UsageError(f"filter {shown(expression)}: {compiled[1]} (libpcap)")
    return {str(link): _REJECT if isinstance(program, str) else program for link, program in compiled.items()}


def compile_for(expression: str, linktype: int) -> dict[str, list[list[int]]]:
    """The program for one link type, as the file states it: that of the interface which is captured from.

    ``UsageError`` carries libpcap's own message, the one that tcpdump shows.
    """
    program = _compile(expression, linktype, live=True)
    if isinstance(program, str):
        raise UsageError(f"filter {shown(expression)}: {program} (libpcap)")
    return {str(linktype): program}


def _compile(expression: str, linktype: int, *, live: bool = False, optimized: bool = True) -> list[list[int]] | str:
    """The program, or libpcap's message. To optimise a long expression takes libpcap more than quadratic time."""
    try:
        text = os.fsencode(expression)
    except UnicodeEncodeError:
        return "it is no text"
    if b"\0" in text:
        return "a NUL byte is in it"
    pcap = _libpcap()
    message = ctypes.create_string_buffer(_ERROR_BYTES)
    handle = pcap.pcap_open_dead(_DLT.get(linktype, linktype), _SNAPLEN) if live else _open_file(linktype, message)
    if not handle:
        return " ".join(message.value.decode("utf-8", "replace").split()) or f"no link type {linktype} is known"
    program = _Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), text, optimized, _NETMASK_UNKNOWN) != 0:
            return " ".join(pcap.pcap_geterr(handle).decode("utf-8", "replace").split())
        code = [[i.code, i.jt, i.jf, i.k] for i in program.instructions[: program.length]]
        pcap.pcap_freecode(ctypes.byref(program))
        if not optimized and len(code) > _MOST_INSTRUCTIONS:
            return _compile(expression, linktype)
        return code
    finally:
        pcap.pcap_close(handle)


def _open_file(linktype: int, message: ctypes.Array[ctypes.c_char]) -> Any:
    """A handle of an empty file, as ``tcpdump -r`` has one.

    libpcap knows link types by the numbers in files then, and looks for IPv6 by the numbers that any BSD has for it,
    not by this machine's. (Of what is captured live it knows more: directions, interfaces.)
    """
    header = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAPLEN, _SAME_AS.get(linktype, linktype))
    return _libpcap().pcap_fopen_offline(_libc().fmemopen(header, len(header), b"r"), message)


@cache
def _libpcap() -> Any:  # a ctypes library: its functions have no static types
    for name in (ctypes.util.find_library("pcap"), "libpcap.so.1", "libpcap.so.0.8"):
        if not name:
            continue
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise UsageError("--filter needs libpcap, which is not installed: apt-get install libpcap0.8")


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.fmemopen.argtypes, libc.fmemopen.restype = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p], ctypes.c_void_p
    return libc


def _declared(pcap: ctypes.CDLL) -> ctypes.CDLL:
    """Argument types, without which ctypes would cut pointers to 32 bits."""
    handle = ctypes.c_void_p
    pcap.pcap_open_dead.argtypes, pcap.pcap_open_dead.restype = [ctypes.c_int, ctypes.c_int], handle
    pcap.pcap_fopen_offline.argtypes, pcap.pcap_fopen_offline.restype = [handle, ctypes.c_char_p], handle
    pcap.pcap_compile.argtypes = [handle, ctypes.POINTER(_Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
    pcap.pcap_geterr.argtypes, pcap.pcap_geterr.restype = [handle], ctypes.c_char_p
    pcap.pcap_freecode.argtypes, pcap.pcap_freecode.restype = [ctypes.POINTER(_Program)], None
    pcap.pcap_close.argtypes, pcap.pcap_close.restype = [handle], None
    return pcap
