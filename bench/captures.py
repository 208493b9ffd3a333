"""The captures that are measured on: made by the seeded generator, once, in bench/data."""

from __future__ import annotations

import hashlib
import mmap
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.instructions import EXAMPLES, ROOT

DATA = ROOT / "bench" / "data"
GENERATOR = ROOT / "engine" / "examples" / "generate.rs"
#: Bytes of a generated response's head, about.
HEAD_BYTES = 90
#: Room that must be left on the disk when a capture has been made.
SPARE_BYTES = 2_000_000_000
#: Linux's MAP_LOCKED, which Python does not name.
LOCKED = 0x2000 if sys.platform == "linux" else 0


@dataclass(frozen=True, slots=True)
class Capture:
    """A file of bench/data.

    requests, response_bytes: of each connection; clients, servers: addresses; packer: ``gzip``, ``zstd`` or nothing.
    """

    key: str
    connections: int
    requests: int = 1
    response_bytes: int = 120
    clients: int = 1
    servers: int = 1
    packer: str = ""

    @property
    def path(self) -> Path:
        """Named after all that decides its bytes: the arguments and the generator's source."""
        source = hashlib.sha256(GENERATOR.read_bytes()).hexdigest()[:8]
        name = f"{'x'.join(map(str, self.shape.values()))}-{source}.pcap"
        return DATA / (name + {"": "", "gzip": ".gz", "zstd": ".zst"}[self.packer])

    @property
    def shape(self) -> dict[str, int]:
        """The generator's options that it is made with."""
        return {
            "connections": self.connections,
            "requests": self.requests,
            "response-bytes": self.response_bytes,
            "clients": self.clients,
            "servers": self.servers,
        }

    @property
    def packets(self) -> int:
        """By the generator's rules: 6 to open and close, and for each request it, its ACK, and the response's segments.

        Every second segment and the last is acknowledged.
        """
        segments = -(-(self.response_bytes + HEAD_BYTES) // 1_448)
        return self.connections * (6 + self.requests * (2 + segments + -(-segments // 2)))

    @property
    def about_bytes(self) -> int:
        """What it will take on the disk, roughly."""
        return self.packets * 95 + self.connections * self.requests * (self.response_bytes + 200)

    def make(self) -> None:
        """Write it if it is not there; ends the benchmark where the disk is too small."""
        if self.path.exists():
            return
        DATA.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(DATA).free < self.about_bytes + SPARE_BYTES:
            sys.exit(f"bench: {DATA} has no room for {self.path.name}, about {self.about_bytes / 1e9:.1f} GB")
        print(f"bench: making {self.path.name}", file=sys.stderr)
        partial = self.path.with_suffix(".part")
        if self.packer:
            self._pack(partial)
        else:
            self._generate(partial)
        partial.rename(self.path)

    def _generate(self, partial: Path) -> None:
        options = [word for name, number in self.shape.items() for word in (f"--{name}", str(number))]
        command = [str(EXAMPLES / "generate"), *options, "--out", str(partial)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if said != f"{self.packets} packets\n":
            sys.exit(f"bench: {self.packets} packets expected, and the generator made {said.strip()}")

    def _pack(self, partial: Path) -> None:
        plain = replace(self, packer="")
        plain.make()
        with partial.open("wb") as out:
            subprocess.run([self.packer, "-c", str(plain.path)], check=True, stdout=out)

    @contextmanager
    def in_memory(self) -> Iterator[None]:
        """Keep it in the page cache, locked where that is allowed: some machines take back what rests for seconds."""
        with self.path.open("rb") as file:
            while file.read(1 << 20):
                pass
            held: AbstractContextManager[object] = nullcontext()
            with suppress(OSError):  # not Linux, or no more may be locked
                flags = getattr(mmap, "MAP_POPULATE", 0) | mmap.MAP_SHARED | LOCKED
                held = mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ)
            with held:
                yield
