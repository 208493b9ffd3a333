"""Rights that a program of its own gives up once its capture is open: what hostile packets do, they do without them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from pcapwatch.errors import CaptureError

_READING = "CAP_DAC_READ_SEARCH"


def give_up(user: str | None = None, sources: Sequence[str] = ()) -> str | None:
    """Give up what is neither the caller's own nor needed to read the files ``sources``; says what had to be kept.

    To be called before any thread is started. user: who to be then, by name, where root would stay root.
    ``CaptureError`` if the system refuses. Where there are no capabilities only the user is given up, and to read a
    pipe or a socket alone.
    """
    if sys.platform != "linux":
        if all(source == "-" for source in sources):
            become(user)
        return None
    from pcapwatch import _engine

    try:
        left = json.loads(_engine.drop_privileges_json(user, list(sources)))
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None
    if (kept := left["kept"]) is None:
        return None
    right = "read" if kept["capability"] == _READING else "read and write"
    return (
        f"the right to {right} any file is kept ({kept['capability']}): user {left['uid']} may not read {kept['path']}"
    )


def become(user: str | None) -> None:
    """Root becomes a user, or whoever called it by sudo; nobody else does. All ids, and so for good."""
    if os.name != "posix" or os.geteuid() != 0:
        return
    import pwd

    try:
        if user is not None:
            named = pwd.getpwnam(user)
            uid, gid = named.pw_uid, named.pw_gid
        else:
            uid, gid = int(os.environ.get("SUDO_UID", "0")), int(os.environ.get("SUDO_GID", "0"))
    except KeyError:
        raise CaptureError(f"--user: there is no user {user!r} here") from None
    except ValueError:
        return
    if uid == 0:
        return
    try:
        os.setgroups([gid])
        with suppress(KeyError):
            os.initgroups(pwd.getpwuid(uid).pw_name, gid)
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        raise CaptureError(f"privileges: the user cannot be taken on: {error}") from None
