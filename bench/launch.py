"""Run a command and write its wall time, CPU time, peak memory and exit status to a file, as JSON.

    python -I -S bench/launch.py RESULT COMMAND...

A process of its own and almost without imports: a child begins as a copy of its parent, and the kernel counts that
copy as the child's peak; so no peak below that of a bare Python (about 9 MB) can be told.
"""

import os
import sys
import time


def main() -> None:
    """No options, no errors of its own: a command that cannot be run ends with 127, as in a shell."""
    result, command = sys.argv[1], sys.argv[2:]
    begun = time.perf_counter()
    child = os.fork()
    if not child:
        try:
            os.execvp(command[0], command)  # noqa: S606 - no shell: the command is a list
        finally:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - begun
    cpu_s = usage.ru_utime + usage.ru_stime
    with open(result, "w") as out:  # noqa: PTH123 - pathlib would make this process larger
        out.write(f"[{wall_s}, {cpu_s}, {usage.ru_maxrss * 1024}, {os.waitstatus_to_exitcode(status)}]")


if __name__ == "__main__":
    main()
