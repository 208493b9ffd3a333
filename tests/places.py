"""Where the captures are that every reading is compared on."""

from pathlib import Path

from oracle.capture import NotACapture, read_capture

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "captures"
SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz")


def readable(path: Path) -> bool:
    """Whether it is a capture at all (the hostile ones are tested elsewhere)."""
    try:
        read_capture(path)
    except (NotACapture, OSError, ValueError, EOFError):
        return False
    return True


def find_captures() -> list[Path | None]:
    """All fixtures, then the shared captures; None stands for the absent shared folder, to be skipped with a reason."""
    fixtures = sorted(p for p in (ROOT / "fixtures").rglob("*") if p.suffix in SUFFIXES and readable(p))
    shared = sorted(p for p in SHARED.rglob("*") if p.suffix in SUFFIXES and "hostile" not in p.parts and readable(p))
    return [*fixtures, *(shared or [None])]


def capture_id(path: Path | None) -> str:
    """A test's name for a capture."""
    if path is None:
        return "shared-captures-absent"
    base = SHARED if path.is_relative_to(SHARED) else ROOT / "fixtures"
    return str(path.relative_to(base))


CAPTURES = find_captures()
