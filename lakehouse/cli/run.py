"""Running a command: from arguments to an exit code, with every error said in one line."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

from typer.main import get_command

from lakehouse.cli.queries import app
from lakehouse.cli.screen import PIPE_CLOSED, Options, report, silence
from lakehouse.cli.speech import spoken
from lakehouse.errors import Conflict, LakehouseError, NotFound, Unavailable
from lakehouse.optional import check_namesake

__all__ = ["main"]

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
CONFLICT: Final = 4
INTERRUPTED: Final = 130
_LONGEST: Final = 4_000  # characters of a message

_FLAGS = ("--json", "--verbose")
_VALUED = "--instance"
_PROGRAMS = (".py", ".ipynb")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv
        The arguments without the program's name; those of the process, if left out.

    Examples
    --------
    >>> main(["no-such-command"])
    2
    """
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = hoisted(given)
    early = Options(json="--json" in arguments, verbose="--verbose" in arguments)
    _never_fail_on_encoding()
    try:
        check_namesake()
        code = get_command(app).main(args=arguments, prog_name="lakehouse", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
        return PIPE_CLOSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001  whatever went wrong is told in one line, with --verbose in full
        return _failed(early, error)
    if code == INTERRUPTED:
        report(early, "KeyboardInterrupt", "interrupted")
    return int(code or 0)


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those that hold for every command before the command's name.

    Examples
    --------
    >>> hoisted(["ls", "--json", "--limit", "3", "--instance", "lake", "--", "--json"])
    ['--json', '--instance', 'lake', 'ls', '--limit', '3', '--', '--json']
    """
    if not arguments:
        return ["--help"]
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*front, *rest, argument, *waiting]
        if rest[:1] == ["run"] and (
            argument == "-m" or argument.endswith(_PROGRAMS)
        ):  # what follows is the program's own
            return [*front, *rest, argument, *waiting]
        if argument in _FLAGS or argument.startswith(_VALUED + "="):
            front.append(argument)
        elif argument == _VALUED:
            value = next(waiting, None)
            if value is None:  # alone, so that the parser says what is missing and does not take the command for it
                return [*front, argument]
            front += [argument, value]
        else:
            rest.append(argument)
    return front + rest


def _failed(options: Options, error: Exception) -> int:
    if options.verbose:
        traceback.print_exception(error, file=sys.stderr)
    kind, message = _told(error)
    if len(message) > _LONGEST:  # the parser and the system repeat arguments whole
        message = f"{message[: _LONGEST // 2]}…{message[-_LONGEST // 2 :]}"
    report(options, kind, message)
    return _code(error)


def _told(error: Exception) -> tuple[str, str]:
    kind = type(error).__name__
    formatted = getattr(error, "format_message", None)
    if formatted is not None:  # the parser's own errors
        command = getattr(getattr(error, "ctx", None), "command_path", "lakehouse")
        return kind, f"{formatted()} (see `{command} --help`)"
    if isinstance(error, LakehouseError):
        return kind, spoken("\n".join([str(error), *getattr(error, "__notes__", ())]))
    if isinstance(error, OSError):
        return kind, str(error)
    return kind, f"unexpected {kind}: {error}; run it again with --verbose and report what it shows"


def _code(error: Exception) -> int:
    if isinstance(error, NotFound | FileNotFoundError):
        return NOT_FOUND
    if isinstance(error, Conflict | Unavailable):
        return CONFLICT
    if isinstance(error, LakehouseError):
        return FAILED
    found: Any = getattr(error, "exit_code", FAILED)
    return int(found)


def _never_fail_on_encoding() -> None:
    """Show as an escape what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
