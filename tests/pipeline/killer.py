"""Run ``recipe.toml`` in a folder again and again, dying by SIGKILL one step later each time, then resume.

A run dies just before, or just after, its n-th ``os.replace``: the moment at which a file or folder would come
into being. Prints, as JSON, how many runs died and the models that each had when it was resumed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401 - loaded once, before the children are forked
import sardonyx as sx
from sardonyx.pipeline import results

PLACE = Path(sys.argv[1])
RECIPE = sx.read_recipe(PLACE / "recipe.toml", settings=["steps.2.rounds=5", "steps.2.batches=[1]"])

results.render_html = lambda report: "<!doctype html>"  # drawing the plots takes most of a run's time


def mortal(replace: Callable[..., Any], steps: int) -> Callable[..., Any]:
    """``os.replace`` that kills the process at its ``steps``-th half: before the call, or after it."""
    left = [steps]

    def dying(*arguments: Any) -> None:
        for half in (0, 1):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            if half == 0:
                replace(*arguments)

    return dying


def child(work: Callable[[], None]) -> int:
    """Do something in a forked child; return its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is told
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def doomed(folder: Path, steps: int) -> None:
    os.replace = mortal(os.replace, steps)
    sx.run_recipe(RECIPE, folder, base=PLACE)


def resumed(folder: Path) -> None:
    result = sx.run_recipe(RECIPE, folder, base=PLACE, resume=True)
    (PLACE / "models.json").write_text(json.dumps(dict(result.models)))


def main() -> None:
    models = []
    for steps in range(1000):
        folder = PLACE / f"killed-{steps}"
        if not os.WIFSIGNALED(child(partial(doomed, folder, steps))):
            break
        if child(partial(resumed, folder)):
            sys.exit(f"the run killed at {steps} could not be resumed")
        models.append(json.loads((PLACE / "models.json").read_text()))
    print(json.dumps({"killed": len(models), "models": models}))


if __name__ == "__main__":
    main()
