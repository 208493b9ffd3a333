"""Put the real report of a capture into README.md, between its two markers: `make readme-report`.

With `--check` nothing is written; the exit status is 1 if the README shows something else than `analyze` prints now.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- report: made by `make readme-report` -->\n"
END = "<!-- end of report -->\n"


def report(capture: str) -> str:
    """What `pcapwatch analyze` prints of `capture` on a terminal of 100 columns without colour."""
    command = [str(Path(sys.executable).with_name("pcapwatch")), "analyze", capture]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(f"pcapwatch analyze {capture}: {done.stderr.strip()}")
    return "".join(line.rstrip() + "\n" for line in done.stdout.strip("\n").splitlines())


def block(capture: str) -> str:
    """The command and its output as one Markdown code block."""
    return f"```console\n$ pcapwatch analyze {capture}\n{report(capture)}```\n"


def replaced(text: str, inner: str) -> str:
    """`text` with everything between the markers replaced by `inner`."""
    before, found_begin, rest = text.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        sys.exit(f"README.md has lost its markers: {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN + inner + END + after


def main() -> None:
    """Replace, or compare."""
    words = [word for word in sys.argv[1:] if word != "--check"]
    if len(words) != 1:
        sys.exit("usage: readme_report.py [--check] CAPTURE")
    readme = ROOT / "README.md"
    old = readme.read_text()
    new = replaced(old, block(words[0]))
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "README.md does not show what analyze prints now: run `make readme-report`")
    readme.write_text(new)


if __name__ == "__main__":
    main()
