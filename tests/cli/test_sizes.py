"""Sizes as they are typed."""

import pytest

from pcapwatch.cli.live_options import parse_size, ring_bytes
from pcapwatch.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64 << 20), ("64KB", 64 << 10), ("64kB", 64 << 10), ("64KiB", 64 << 10), ("1G", 1 << 30), ("512B", 512)],
)
def test_units_are_powers_of_1024(text: str, size: int) -> None:
    """Capital or small, with or without the i."""
    assert parse_size("--ring", text) == size


@pytest.mark.parametrize("text", ["64", "0MB", "MB", "-1MB", "1TB", "much"])
def test_a_size_without_its_unit_is_refused(text: str) -> None:
    """A bare number would be bytes: a ring of 64 of them drops everything."""
    with pytest.raises(UsageError, match="a number and its unit"):
        parse_size("--ring", text)


@pytest.mark.parametrize("text", ["1B", "127KB", "2048MB", "999999GB"])
def test_a_ring_is_as_large_as_the_kernel_can_make_it(text: str) -> None:
    """What would be another ring than the one asked for is refused."""
    with pytest.raises(UsageError, match=f"^--ring '{text}': from 128KB to 2047MB, as 64MB$"):
        ring_bytes(text)


def test_the_least_and_the_largest_ring() -> None:
    """The bounds themselves are rings."""
    assert (ring_bytes("128KB"), ring_bytes("2047MB")) == (128 << 10, 2047 << 20)
