"""The user's terminal: its own screen, keys as they are pressed, and everything put back however the program ends.

Keys are read from ``/dev/tty``, for standard input may be the capture (`tcpdump -w - | pcapwatch live -`).
Sources: termios(3), xterm's control sequences (1049: the other screen; 25: cursor; 7: wrapping).
"""

from __future__ import annotations

import os
import select
import signal
import termios
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from pcapwatch.errors import UsageError
from pcapwatch.live.dashboard.keys import Keys
from pcapwatch.live.dashboard.screen import Screen

_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
_LEAVE = b"\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_DEFAULT_SIZE = os.terminal_size((80, 24))


class Terminal:
    """A context: inside it the terminal is the dashboard's, after it the user's.

    Put back on exceptions, Ctrl-C, SIGTERM (both are `KeyboardInterrupt` inside), and while suspended by Ctrl-Z. A
    terminal that has gone away is not written to any more, and not waited for.
    """

    #: Whether everything must be drawn again.
    stale: bool
    #: Sent so far.
    bytes_written: int

    def __init__(self, path: str = "/dev/tty") -> None:
        self._path = path
        self._fd = -1
        self._saved: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._keys = Keys()
        self._screen = Screen()
        self._gone = False
        self.bytes_written = 0
        self.stale = True

    def __enter__(self) -> Terminal:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            self._saved = termios.tcgetattr(self._fd)
        except (OSError, termios.error) as error:
            raise UsageError(f"no terminal for the dashboard ({error}): use --no-tui") from None
        try:
            self._take()
            self._handle(signal.SIGTSTP, self._suspend)
            self._handle(signal.SIGWINCH, self._resized)
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._handle(signal.SIGTERM, signal.default_int_handler)
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now."""
        with suppress(OSError):
            size = os.get_terminal_size(self._fd)
            if size.columns and size.lines:
                return size
        return _DEFAULT_SIZE

    def show(self, lines: list[str]) -> None:
        """Draw what has changed."""
        self.stale = False
        self._write(self._screen.frame(lines))

    def redraw(self) -> None:
        """Draw everything at the next `show`."""
        self._screen.forget()
        self.stale = True

    def keys(self) -> list[str]:
        """Keys pressed since the last call; does not wait for any."""
        if self._gone or not select.select([self._fd], [], [], 0)[0]:
            return self._keys.feed(b"")
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            data = b""
        if not data:  # hung up: there is nobody left to press one
            self._gone = True
        return self._keys.feed(data)

    def _take(self) -> None:
        """Keys at once and unseen; signals by key stay, so that Ctrl-C and Ctrl-Z mean what they always mean."""
        mode = termios.tcgetattr(self._fd)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        self._write(_ENTER)
        self.redraw()

    def _give_back(self) -> None:
        self._write(_LEAVE)
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if self._fd >= 0:
            self._give_back()
            os.close(self._fd)
            self._fd = -1

    def _handle(self, number: int, handler: Any) -> None:
        self._handlers[number] = signal.signal(number, handler)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Give the terminal back, stop as the shell expects it, and take it again when it is in the foreground."""
        del frame
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stands still in here until SIGCONT
        signal.signal(number, self._suspend)
        with suppress(OSError, termios.error):
            self._take()

    def _resized(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.redraw()

    def _write(self, data: bytes) -> None:
        while data and not self._gone:
            try:
                done = os.write(self._fd, data)
            except OSError:  # hung up
                self._gone = True
                return
            self.bytes_written += done
            data = data[done:]
