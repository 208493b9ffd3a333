"""A tcpdump filter expression into classic BPF, one program per link type, by the machine's libpcap.

libpcap is loaded at run time: without a filter nothing needs it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from functools import cache
from typing import Any

from pcapwatch.errors import UsageError
from pcapwatch.settings import shown

#: The link types the engine reads, as the file states them, and the DLT number by which libpcap calls them on Linux.
DLT_OF_LINKTYPE = {
    0: 0, 1: 1, 12: 12, 13: 109, 14: 12, 101: 12, 108: 108, 109: 109, 113: 113, 117: 117, 228: 228, 229: 229, 276: 276,
}  # fmt: skip

_SNAPLEN = 262_144
_NETMASK_UNKNOWN = 0xFFFFFFFF
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
    compiled = {link: _compile(expression, dlt) for link, dlt in DLT_OF_LINKTYPE.items()}
    if all(isinstance(program, str) for program in compiled.values()):
        raise UsageError(f"filter {shown(expression)}: {compiled[1]} (libpcap)")
    return {str(link): _REJECT if isinstance(program, str) else program for link, program in compiled.items()}


def compile_for(expression: str, linktype: int) -> dict[str, list[list[int]]]:
    """The program for one link type, as the file states it: that of the interface which is captured from.

    ``UsageError`` carries libpcap's own message, the one that tcpdump shows.
    """
    program = _compile(expression, DLT_OF_LINKTYPE.get(linktype, linktype))
    if isinstance(program, str):
        raise UsageError(f"filter {shown(expression)}: {program} (libpcap)")
    return {str(linktype): program}


def _compile(expression: str, dlt: int) -> list[list[int]] | str:
    """The program, or libpcap's message."""
    pcap = _libpcap()
    handle = pcap.pcap_open_dead(dlt, _SNAPLEN)
    if not handle:
        return f"libpcap does not know link type {dlt}"
    program = _Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), os.fsencode(expression), 1, _NETMASK_UNKNOWN) != 0:
            return " ".join(pcap.pcap_geterr(handle).decode("utf-8", "replace").split())
        code = [[i.code, i.jt, i.jf, i.k] for i in program.instructions[: program.length]]
        pcap.pcap_freecode(ctypes.byref(program))
        return code
    finally:
        pcap.pcap_close(handle)


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


def _declared(pcap: ctypes.CDLL) -> ctypes.CDLL:
    """Argument types, without which ctypes would cut pointers to 32 bits."""
    handle = ctypes.c_void_p
    pcap.pcap_open_dead.argtypes, pcap.pcap_open_dead.restype = [ctypes.c_int, ctypes.c_int], handle
    pcap.pcap_compile.argtypes = [handle, ctypes.POINTER(_Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32]
    pcap.pcap_geterr.argtypes, pcap.pcap_geterr.restype = [handle], ctypes.c_char_p
    pcap.pcap_freecode.argtypes, pcap.pcap_freecode.restype = [ctypes.POINTER(_Program)], None
    pcap.pcap_close.argtypes, pcap.pcap_close.restype = [handle], None
    return pcap
