"""What the worker of every tool does alike: read a job, do its cases, and write down how each went.

Only Python is needed: this runs in the environment of the tool.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(make: Callable[[dict[str, Any]], Callable[[str, Path], float]]) -> None:
    """Do the job named on the command line.

    The job is JSON: ``cases`` maps names to output files, ``answers`` is a file that takes a line of JSON for each of
    them; the rest is for ``make``. A line holds ``case`` and either ``seconds`` and ``peak_bytes`` or ``error``: what
    a tool throws is an outcome here.

    Args:
        make: From the job to a function that writes the file of a case and returns the seconds of its call.
    """
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf8"))
    perform = make(job)
    for case, output in job["cases"].items():
        said: dict[str, Any] = {"case": case}
        try:
            said |= {"seconds": perform(case, Path(output)), "peak_bytes": peak_bytes()}
        except Exception as error:  # noqa: BLE001 - whatever a tool throws is an outcome
            cause = (str(error).strip().splitlines() or [""])[0]
            said["error"] = f"{type(error).__name__}: {cause}"
        with Path(job["answers"]).open("a", encoding="utf8") as answers:
            answers.write(json.dumps(said) + "\n")


def peak_bytes() -> int | None:
    """The most memory that this process has held, with what it imported; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text(encoding="utf8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
