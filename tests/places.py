"""Where the captures are that every reading is compared on."""

from pathlib import Path

from oracle.capture import NotACaptureError, read_capture

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "captures"
SUFFIXES = (".pcap", ".pcapng", ".cap", ".gz")


def readable(path: Path) -> bool:
    """Whether it is a capture at all (the hostile ones are tested elsewhere)."""
    try:
        read_capture(path)
    except (NotACaptureError, OSError, ValueError, EOFError):
        return False
    return True


def find_captures() -> list[tuple[Path, ...]]:
    """All recorded fixtures, each the set of its files, then the shared captures; an empty set: these are absent.

    The crafted ones of fixtures/wrapped are one conversation in many headers: tests/test_wrapped.py.
    """
    folders = [path.parent for path in sorted((ROOT / "fixtures").glob("*/truth.json"))]
    fixtures: list[tuple[Path, ...]] = [
        tuple(sorted(p for p in f.iterdir() if p.suffix in SUFFIXES and readable(p))) for f in folders
    ]
    shared = sorted(p for p in SHARED.rglob("*") if p.suffix in SUFFIXES and "hostile" not in p.parts and readable(p))
    real: list[tuple[Path, ...]] = [(p,) for p in shared]
    return [*(f for f in fixtures if f), *(real or [()])]


def capture_name(paths: tuple[Path, ...]) -> str:
    """How a capture is named in tests and in the tables of known differences."""
    if not paths:
        return "shared-captures-absent"
    if paths[0].is_relative_to(SHARED):
        return str(paths[0].relative_to(SHARED))
    return paths[0].parent.name


CAPTURES = find_captures()
