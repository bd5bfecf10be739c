"""The command ``sardonyx``: the table of verbs, and how an error becomes two lines and an exit code."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer

from ..core.errors import SardonyxError, StorageError
from ..core.files import is_disk_error
from . import (
    bench,
    compare,
    data,
    distill,
    doctor,
    export,
    heal,
    inspect,
    optimize,
    package,
    profile,
    prune,
    quantize,
    report,
    run,
    verify,
)
from .console import DocumentedError
from .flags import Invocation, with_flags
from .signals import Terminated, ignore_signals, raised_signals
from .streams import steady_streams
from .text import LONGEST_LINE, shorten

INTERRUPTED = 130
TERMINATED = 143
UNEXPECTED = 70

VERBS = (
    ("export", export.export),
    ("inspect", inspect.inspect),
    ("prune", prune.prune),
    ("quantize", quantize.quantize),
    ("heal", heal.heal),
    ("distill", distill.distill),
    ("compare", compare.compare),
    ("bench", bench.bench),
    ("profile", profile.profile),
    ("optimize", optimize.optimize),
    ("package", package.package),
    ("verify", verify.verify),
    ("run", run.run),
    ("report", report.report),
    ("data", data.data),
    ("doctor", doctor.doctor),
)

# Every error of the command line's own parser has this base; typer does not name it.
_ParserError: type[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def build() -> typer.Typer:
    """The typer application, one command a verb."""
    app = typer.Typer(
        name="sardonyx",
        help="Take a trained model to the device: export, prune, quantize, and prove it under ONNX Runtime.",
        epilog="Exit codes: 0 done; 1 an expectation was not met; 2 usage; 3 bad input; 4 refused by a limit; "
        "5 environment; 130 interrupted.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    for name, verb in VERBS:
        app.command(name)(with_flags(verb))
    return app


def main(arguments: Sequence[str] | None = None, *, is_bounded: bool = False) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        arguments: What follows the command's name; None takes it from the process.
        is_bounded: Whether this process is already the one whose time and memory are limited.

    Raises:
        SystemExit: Always.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with steady_streams(), raised_signals():
        code = _run(Invocation(tuple(given), is_bounded))
        if arguments is None and code in {INTERRUPTED, TERMINATED}:
            ignore_signals()
    sys.exit(code)


def _run(invocation: Invocation) -> int:
    given = list(invocation.arguments)
    flags = given[: given.index("--")] if "--" in given else given
    try:
        code = typer.main.get_command(build()).main(
            given, prog_name="sardonyx", standalone_mode=False, obj=invocation
        )
        if code == INTERRUPTED:  # what typer makes of an interrupt, without a word
            raise KeyboardInterrupt
        return int(code or 0)
    except (Exception, KeyboardInterrupt, Terminated) as error:  # noqa: BLE001 - each becomes two lines and a code
        if "--debug" in flags:
            traceback.print_exc()
        if invocation.is_bounded and isinstance(error, Terminated):
            return TERMINATED  # whoever ended this process says why
        return _tell(error, json_wanted="--json" in flags)


def _tell(error: BaseException, *, json_wanted: bool) -> int:
    """Print an error as one line of cause and one of remedy; return the exit code."""
    shown: Mapping[str, Any] = {}
    if isinstance(error, DocumentedError):
        shown, error = error.document, error.error
    code, cause, remedy = _describe(error)
    print(
        f"error: {shorten(cause, LONGEST_LINE)}\nhint: {shorten(remedy, LONGEST_LINE)}",
        file=sys.stderr,
        flush=True,
    )
    if json_wanted:
        document = {
            "type": type(error).__name__.strip("_"),
            "cause": cause,
            "remedy": remedy,
            "exit_code": code,
        }
        with contextlib.suppress(StorageError):  # where nothing can be printed, that is what the lines say
            print(json.dumps({**shown, "error": document}, indent=2), flush=True)
    return code


def _describe(error: BaseException) -> tuple[int, str, str]:
    """Exit code, cause and remedy of an error."""
    match error:
        case SardonyxError():
            return error.exit_code, error.cause, error.remedy
        case KeyboardInterrupt() | typer.Abort():
            return (
                INTERRUPTED,
                "interrupted",
                "no half-written output was left behind; --resume goes on with a run or a search",
            )
        case Terminated():
            return (
                TERMINATED,
                "terminated",
                "no half-written output was left behind; --resume goes on with a run or a search",
            )
        case _ if isinstance(error, _ParserError):
            command = getattr(getattr(error, "ctx", None), "command_path", "sardonyx")
            return 2, " ".join(error.format_message().split()), f"`{command} --help` lists what it takes"
        case MemoryError():
            return 4, "out of memory", "use fewer samples or a smaller batch"
        case OSError() if is_disk_error(error):
            place = "" if error.filename is None else f"{error.filename}: "
            return (
                StorageError.exit_code,
                f"{place}{error.strerror}",
                "free some space, or name other folders in TMPDIR and SARDONYX_CACHE",
            )
        case _:
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            return UNEXPECTED, f"unexpected {cause[:500]}", "--debug shows the traceback; please report it"


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(installed("sardonyx"), flush=True)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), flush=True)
