"""The house in order: what is committed, what is documented, what the README promises."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pcapwatch.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 500
# A declared table may be long: these are lists of words, read by looking one up.
TABLES = {"engine/src/record.rs"}
# Put together here so that this file does not name them.
MACHINE_PATHS = ["/" + "tmp/", "/" + "work/", "/" + "root/", "/" + "home/"]
REGISTRY_HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "crates" + ".io"]
# The files that may hold `unsafe`: system calls that no safe crate wraps, and memory shared with the kernel.
UNSAFE = {"engine/src/capture/mapping.rs", "engine/src/capture/ring/sys.rs"}
GENERATED = {"Cargo.lock", "requirements.lock", "requirements-dev.lock"}


def committed() -> list[Path]:
    """Every file git knows, or would add; skips the test where this is no git checkout (an sdist)."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """Its text, or nothing for a binary file."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode(errors="replace")


def python_dependencies() -> set[str]:
    """Names in pyproject.toml: build backend, run time, extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    return {re.split(r"[\s\[<>=!~;]", line)[0] for line in wanted} - {"pcapwatch"}


def rust_dependencies() -> set[str]:
    """Names of other people's crates in the workspace's Cargo.toml files."""
    names: set[str] = set()
    for manifest in ROOT.glob("*/Cargo.toml"):
        crate = tomllib.loads(manifest.read_text())
        for part in (crate, *crate.get("target", {}).values()):
            for table in ("dependencies", "dev-dependencies", "build-dependencies"):
                names |= {
                    name
                    for name, spec in part.get(table, {}).items()
                    if not isinstance(spec, dict) or "path" not in spec
                }
    return names


def test_no_committed_file_names_this_machine_or_a_registry() -> None:
    """A clone works anywhere: no path of the machine it was written on, no package registry's host."""
    found = []
    for path in committed():
        allowed = (
            REGISTRY_HOSTS[2] if path.name == "Cargo.lock" else None
        )  # cargo writes its registry's public name there
        text = text_of(path)
        words = [word for word in MACHINE_PATHS + REGISTRY_HOSTS if word != allowed]
        name = path.relative_to(ROOT)
        found += [f"{name}: {word}" for word in words if re.search(rf"(?<![\w.]){re.escape(word)}", text)]
    assert not found


@pytest.mark.parametrize("name", sorted(python_dependencies() | rust_dependencies()))
def test_every_dependency_says_why(name: str) -> None:
    """Each dependency has its line in CONTRIBUTING.md's table."""
    assert f"\n| `{name}` |" in (ROOT / "CONTRIBUTING.md").read_text()


def test_no_dependency_is_explained_that_is_gone() -> None:
    """CONTRIBUTING.md's table holds nothing that neither pyproject.toml nor a Cargo.toml asks for."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| dependency | why |")[2]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == python_dependencies() | rust_dependencies()


def test_no_file_is_crowded() -> None:
    """Code and prose stay in files that can be read: at most 500 lines, lock files and declared tables aside."""
    readable = {".py", ".pyi", ".rs", ".md", ".toml", ""}
    paths = [path for path in committed() if path.suffix in readable and path.name not in GENERATED]
    lines = {str(path.relative_to(ROOT)): text_of(path).count("\n") for path in paths}
    assert not {name: n for name, n in lines.items() if n > LONGEST_FILE and name not in TABLES}


def test_changelog_mentions_the_version() -> None:
    """The version in Cargo.toml has its heading in CHANGELOG.md."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documented_make_targets_exist(document: str) -> None:
    """Every `make TARGET` that a document shows is a target of the Makefile."""
    shown = set(re.findall(r"(?:\$ |`)make ([a-z-]+)", (ROOT / document).read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert shown
    assert shown <= targets


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_in_documents_lead_somewhere(document: str) -> None:
    """Every relative link of a document is a file of the repository."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_map_of_the_house_is_right() -> None:
    """Every path in CONTRIBUTING.md's "Where things are" exists."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    table = "".join(line for line in section.splitlines() if line.startswith("|"))
    paths = re.findall(r"`([\w./]+(?:/|\.rs|\.pyi?|\.md))`", table)
    assert len(paths) > 10
    assert not [path for path in paths if not (ROOT / path).exists()]


def test_unsafe_rust_is_where_it_must_be() -> None:
    """Hostile bytes meet no `unsafe`: it is in the listed files alone, and each block there says why it is sound."""
    sources = [path for folder in ("engine", "bindings") for path in (ROOT / folder).rglob("*.rs")]
    assert sources
    block = re.compile(r"\bunsafe\s*(\{|fn\b|impl\b|trait\b|extern\b)|allow\(unsafe_code")
    found = {path for path in sources if block.search(path.read_text())}
    assert {str(path.relative_to(ROOT)) for path in found} == UNSAFE
    unexplained = re.compile(r"^(?!\s*// ).*\n(?!.*//).*\bunsafe\s*(\{|impl\b)", re.MULTILINE)
    assert not [str(path) for path in found if unexplained.search(path.read_text())]
    assert tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["lints"]["rust"]["unsafe_code"] == "deny"


def test_commands_of_the_readme_exist() -> None:
    """The README's table has every command, and each answers `--help` with exit status 0."""
    commands = re.findall(r"^\| `pcapwatch ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(commands) == sorted(COMMANDS)
    tables = (ROOT / "docs" / "tables.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^pcapwatch ([a-z]+)", tables, re.MULTILINE)) == sorted(COMMANDS)
    pcapwatch = Path(sys.executable).with_name("pcapwatch")
    for command in commands:
        done = subprocess.run([pcapwatch, command, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_readme_shows_what_analyze_prints() -> None:
    """The report on the README's first screen is the real output on the fixture that it names."""
    block = (ROOT / "README.md").read_text().partition("<!-- report:")[2].partition("<!-- end of report -->")[0]
    capture = re.search(r"^\$ pcapwatch analyze (\S+)", block, re.MULTILINE)
    assert capture, "no report in README.md: run `make readme-report`"
    command = [sys.executable, ROOT / ".ci" / "readme_report.py", "--check", capture[1]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
