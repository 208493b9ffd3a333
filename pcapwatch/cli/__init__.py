"""The command line: one command per file; here what all share: errors, exit codes, the filter after ``--``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from pcapwatch.errors import PcapwatchError, UsageError
from pcapwatch.report.escape import terminal

__all__ = ["COMMANDS", "main"]

COMMANDS = ("analyze", "connections", "exchanges", "states", "show", "live", "host", "explain")

#: The common ancestor of every complaint that typer makes about arguments.
_Complaint: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
_INTERRUPTED = 130


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pcapwatch {version('pcapwatch')}")
        raise typer.Exit


def pcapwatch(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Who closed each TCP connection, how long TIME_WAIT lasted, and what Connection: close had to do with it."""
    del version  # its callback has printed it


def command(name: str) -> Callable[..., None]:
    """A command's function, from the file of its name."""
    function: Callable[..., None] = getattr(import_module(f"pcapwatch.cli.{name}"), name)
    return function


def _app(first: str) -> typer.Typer:
    """The command line; where ``first`` names a command only that one: loading and inspecting each takes 10 ms."""
    made = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(pcapwatch)
    for name in [one for one in COMMANDS if one == first] or COMMANDS:
        made.command()(command(name))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and exit: 0 done, 1 by ``--fail-on``, 2 wrong input or usage (one line on stderr), 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        words = _with_filter(given) or ["--help"]
        sys.exit(_app(words[0])(words, standalone_mode=False, prog_name="pcapwatch") or 0)
    except PcapwatchError as error:
        _complain(str(error))
        sys.exit(2)
    except _Complaint as error:
        _complain(error.format_message())
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_INTERRUPTED)
    except MemoryError:
        _complain("not enough memory")
        sys.exit(2)
    except OSError as error:
        _complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        sys.exit(2)


def _complain(message: str) -> None:
    sys.stderr.write(f"pcapwatch: {terminal(' '.join(message.split()))}\n")


def _with_filter(arguments: list[str]) -> list[str]:
    """``analyze a.pcap -- tcp port 80`` as ``--filter 'tcp port 80'``; tcpdump's habit."""
    if "--" not in arguments:
        return arguments
    at = arguments.index("--")
    before, words = arguments[:at], arguments[at + 1 :]
    if not words:
        return before
    if any(argument == "--filter" or argument.startswith("--filter=") for argument in before):
        raise UsageError("a filter both by --filter and after --: give one")
    return [*before, "--filter", " ".join(words)]
