"""Let writing commands fail, or die, at each of their steps, and count what they leave.

    python benchmarks/crash_injection.py [--only resumes] [--every 4]

First SIGKILL, a full disk, a failing one, loss of power and signals at the steps of every command that writes: each of its
outputs is the complete old or the complete new one. Then `--resume` from everything that a SIGKILL can leave of longer
commands, and after each step that failed, compared with a run without one, by SHA-256 of all models. Exit code 1 if anything
is not as specified.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from crash_commands import COMMANDS, judge_all, staged
from crash_injection import FaultKind
from crash_resumes import RESUMES, judge_failures, judge_states, rehearsed

KINDS: tuple[FaultKind, ...] = ("kill", "full", "hiccup", "power", "interrupt", "terminate")
PARTS = ("faults", "resumes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--commands", nargs="+", choices=[*COMMANDS, *RESUMES], default=[*COMMANDS, *RESUMES])
    parser.add_argument("--every", type=int, default=1, help="try every so-manyth step or state only")
    arguments = parser.parse_args()
    wrong = 0
    if arguments.only != "resumes":
        names = [name for name in COMMANDS if name in arguments.commands]
        wrong += _faults(names, arguments.kinds, arguments.every)
    if arguments.only != "faults":
        names = [name for name in RESUMES if name in arguments.commands]
        wrong += _resumes(names, arguments.kinds, arguments.every)
    print(f"{wrong} not as specified")
    return min(wrong, 1)


def _faults(names: Sequence[str], kinds: Sequence[FaultKind], every: int) -> int:
    """Print a line for each kind of fault and command; how many were not as specified."""
    total = 0
    for kind in kinds:
        for name in names:
            stage = staged(name)
            points = range(0, len(stage.whole.steps), every)
            with tempfile.TemporaryDirectory() as folder:
                wrong = judge_all(stage, kind, Path(folder), points)
            met, total = stage.met[kind], total + len(wrong)
            shares = ", ".join(f"{met[state]} {state}" for state in ("old", "new", "neither"))
            print(f"  {name}, {kind}: {len(points)} points; outputs: {shares}", *_told(wrong), sep="\n    ")
            sys.stdout.flush()
    return total


def _resumes(names: Sequence[str], kinds: Sequence[FaultKind], every: int) -> int:
    """Print a line for each command that goes on and each kind of fault; how many were not as specified."""
    total = 0
    for name in names:
        rehearsal = rehearsed(name)
        for kind in (kind for kind in kinds if kind in {"kill", "full", "hiccup"}):
            if kind == "kill":
                wrong = judge_states(rehearsal, rehearsal.states[::every])
            else:
                wrong = judge_failures(rehearsal, kind, range(0, len(rehearsal.whole.steps), every))
            total += len(wrong)
            print(*_told(wrong), sep="\n    ", flush=True)
    return total


def _told(wrong: dict[int, str] | dict[str, str]) -> list[str]:
    return [f"at {at}: {words}" for at, words in wrong.items()]


if __name__ == "__main__":
    raise SystemExit(main())
