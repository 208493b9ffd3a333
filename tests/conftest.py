"""What tests of several folders share: an engine that gives hand-made facts, and the command line run over it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pcapwatch

sys.path.insert(0, str(Path(__file__).parent))

import summaries
from handmade import Engine

#: Where tests have the kernel, its clocks and real servers beside them, or measure a process: a machine that stands
#: still for a while makes a kernel send again, and a peak another. These get a second try; the summary names each.
IN_REAL_TIME = {"host", "live", "recorder", "test_offload.py", "test_bounded_memory.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what gets a second try; the rest gets none."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in IN_REAL_TIME:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A hand-made engine in the place of the real one."""
    made = Engine(summaries.proxy_and_origin())
    monkeypatch.setitem(sys.modules, "pcapwatch._engine", made)
    monkeypatch.setattr(pcapwatch, "_engine", made, raising=False)
    return made


@pytest.fixture
def run(engine: Engine, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line; gives exit status, standard output and standard error."""
    from pcapwatch.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capfdbinary.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out.decode(), err.decode()

    return call
