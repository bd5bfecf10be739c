"""``sardonyx verify``: whether a bundle is whole, unchanged, and right on its own samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import ExpectationError
from .console import DocumentedError
from .flags import Flags, Libraries, Threads

Folder = Annotated[Path, typer.Argument(help="The folder of the bundle.", metavar="DIR")]
Provider = Annotated[str, typer.Option("--ep", metavar="EP", help="Execution provider that runs the model.")]


def verify(
    flags: Flags,
    folder: Folder,
    provider: Provider = "cpu",
    threads: Threads = 0,
    libraries: Libraries = None,
) -> None:
    """Check a bundle.

    Every file against the manifest, the manifest against its seal, then the models on the samples of the self-test. The exit
    code is 1 where a check fails, and 3 where there is no manifest that could be believed.
    """
    from ..pipeline import check_report, plain, register_libraries, verify_bundle
    from .show_package import show_verified

    register_libraries(libraries or ())
    report = verify_bundle(folder, provider=provider, threads=threads)
    show_verified(flags.console, report)
    document = {"verb": "verify", "passed": report.is_passed, **plain(report)}
    try:
        check_report(report)
    except ExpectationError as error:
        raise DocumentedError(error, document) from error
    flags.console.document(document)
