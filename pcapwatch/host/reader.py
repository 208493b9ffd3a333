"""Reads a host's kernel: everything is opened once, within the namespace, and can be read again without any right."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from types import TracebackType

from pcapwatch.errors import UsageError
from pcapwatch.host import proc
from pcapwatch.host.model import SYSCTLS, Snapshot
from pcapwatch.host.namespace import inside
from pcapwatch.host.sock_diag import SockDiag, Table

_NET = "/proc/thread-self/net"
_TABLES = ("tcp", "tcp6")
_OTHERS = ("netstat", "fib_trie", "if_inet6")


class Reader:
    """An open view of one namespace's kernel. ``sock_diag=False`` reads ``/proc/net/tcp`` even where netlink works."""

    def __init__(self, netns: str | None = None, *, sock_diag: bool = True) -> None:
        """``UsageError`` where this is no Linux, or the namespace cannot be entered."""
        self.netns = netns
        self._stack = ExitStack()
        self._diag: SockDiag | None = None
        self._files: dict[str, int] = {}
        try:
            with inside(netns):
                self._open(sock_diag=sock_diag)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, *, sock_diag: bool) -> None:
        if sock_diag:
            try:
                self._diag = self._stack.enter_context(SockDiag())
            except (OSError, AttributeError):  # no AF_NETLINK: not Linux, or forbidden by a sandbox
                self._diag = None
        paths = {name: f"{_NET}/{name}" for name in (*_TABLES, *_OTHERS)}
        paths |= {name: f"/proc/sys/net/ipv4/{name}" for name in SYSCTLS}
        for name, path in paths.items():
            try:
                self._files[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue  # this kernel has no such thing: unknown
            self._stack.callback(os.close, self._files[name])
        if self._diag is None and "tcp" not in self._files:
            raise UsageError("pcapwatch host reads Linux: there is neither netlink sock_diag nor /proc/net/tcp here")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything that is open."""
        self._stack.close()

    def snapshot(self) -> Snapshot:
        """The host now. A listing is not taken at one instant: the clock is read before and after it."""
        before_ns = time.time_ns()
        table, reader = self._table()
        after_ns = time.time_ns()
        system = os.uname()
        return Snapshot(
            name=system.nodename,
            kernel=f"{system.sysname} {system.release}",
            netns=self.netns,
            reader=reader,
            read_ns=(before_ns, after_ns),
            addresses=proc.local_addresses(self._text("fib_trie") or "", self._text("if_inet6") or ""),
            sysctls={name: _plain(self._text(name)) for name in SYSCTLS},
            counters=proc.counters(self._text("netstat") or ""),
            states=table.states,
            waits=table.waits,
        )

    def _table(self) -> tuple[Table, str]:
        if self._diag is not None:
            try:
                return self._diag.read(), "sock_diag"
            except OSError:
                if "tcp" not in self._files:
                    raise
                self._diag = None  # refused once, refused always
        return proc.socket_table(self._text(name) or "" for name in _TABLES), "proc"

    def _text(self, name: str) -> str | None:
        """A file's text from its beginning; ``None`` if there is none, or if it may not be read."""
        if name not in self._files:
            return None
        parts = []
        try:
            os.lseek(self._files[name], 0, os.SEEK_SET)
            while part := os.read(self._files[name], 1 << 16):
                parts.append(part)
        except OSError:
            return None
        return b"".join(parts).decode(errors="replace")


def _plain(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def read(netns: str | None = None, *, sock_diag: bool = True) -> Snapshot:
    """One snapshot of this host, or of a named network namespace of it."""
    with Reader(netns, sock_diag=sock_diag) as reader:
        return reader.snapshot()
