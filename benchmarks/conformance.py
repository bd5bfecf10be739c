"""What each pass makes of the operator cases that come with the onnx wheel: a count of each outcome, and every reason.

    python benchmarks/conformance.py                      # all cases, half an hour on one core
    python benchmarks/conformance.py --share 20
    python benchmarks/conformance.py --docs docs          # writes docs/conformance.md

ONNX Runtime, its optimisations off, runs every case in three forms before and after every pass; what they are and when two
outputs count as the same is in ``tests/operator_forms.py`` and ``tests/conforming.py``. Ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

BENCHMARKS = Path(__file__).absolute().parent
sys.path[:0] = [str(BENCHMARKS.parent / "tests"), str(BENCHMARKS / "side_by_side")]

from conforming import Finding, findings
from operator_corpus import all_cases, sampled, stored_cases
from sardonyx.core.files import write_atomic
from tables import markdown, number

VERDICTS = {
    "equal": "equal",
    "rounded": "within rounding",
    "stated": "as the case states",
    "proven": "cut and proven",
    "frozen": "all frozen",
    "made": "made and run",
    "not runnable": "not runnable",
    "refused": "refused",
    "different": "different",
}
STAGES = {
    "door": "opened: checked, functions and weights as they are",
    "cleanup": "cleaned up: folded, joined, what is unused removed",
    "lowering": "lowered to opset 21 for a phone",
    "coupling": "inspected with its groups of neurons",
    "prepared": "prepared for quantization, in float32",
    "prune": "a random 0.4 of the neurons cut",
    "prune widely": "0.4 of the neurons cut approximately",
    "quantize": "quantized",
}
_REASONS = 40
_EVERY = 100


def main() -> int:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--share", type=int, default=1, help="take one case of so many")
    parser.add_argument("--json", type=Path, help="write every finding to this file")
    parser.add_argument("--docs", type=Path, help="write the page into this folder")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    found = list(_all_findings(sampled(all_cases(), arguments.share)))
    table = _table(found)
    print(table)
    for reason, count in _reasons(found).most_common(_REASONS):
        print(f"{count} {reason}")
    wrong = [finding for finding in found if finding.verdict == "different"]
    for finding in wrong:
        print(finding)
    if arguments.json:
        write_atomic(arguments.json, json.dumps(found).encode())
    if arguments.docs:
        write_atomic(arguments.docs / "conformance.md", _page(found, table).encode())
    return 1 if wrong else 0


def _all_findings(cases: Sequence[object]) -> Iterable[Finding]:
    start = time.monotonic()
    for index, case in enumerate(cases, 1):
        yield from findings(case)
        if index % _EVERY == 0 or index == len(cases):
            print(f"{index} of {len(cases)} cases, {time.monotonic() - start:.0f} s", flush=True)


def _table(found: Sequence[Finding]) -> str:
    counts = Counter((finding.stage, finding.verdict) for finding in found)
    lines = [
        [what, *[number(counts[stage, verdict] or None) for verdict in VERDICTS]]
        for stage, what in STAGES.items()
    ]
    return markdown(["pass", *VERDICTS.values()], lines)


def _reasons(found: Sequence[Finding]) -> Counter[str]:
    """Why cases were refused, without the names and numbers of one case."""
    return Counter(
        f"{finding.stage}: {_shortened(finding.reason)}" for finding in found if finding.verdict == "refused"
    )


def _shortened(reason: str) -> str:
    return re.sub(r"'[^']*'", "'…'", re.sub(r"\d+", "N", reason))[:110]


def _page(found: Sequence[Finding], table: str) -> str:
    cases, held = len({finding.case for finding in found}), len(stored_cases())
    versions = f"onnx {version('onnx')}, ONNX Runtime {version('onnxruntime')}"
    return PAGE.format(cases=cases, generated=cases - held, held=held, versions=versions, table=table)


PAGE = """# Conformance

What each pass makes of the {cases:,} operator cases that come with the onnx wheel: {generated:,} that it generates and {held} that it holds
as files. Made by `benchmarks/conformance.py --docs docs`, with {versions}; `tests/conformance/test_operators.py` does the
same.

Every case is run by ONNX Runtime, its optimisations off, before and after each pass, in up to three forms: as it is given; with every
input but one stored as a constant, so that there is something to fold; and between two matrix products, so that neurons run
through the operator (along the channels, and along the last axis). A line counts every form of every case.

{table}

* *equal*: bit for bit. A file that is opened has no other way to pass.
* *within rounding*: another order of operations; two units in the last place, times the root of the number of summands. What is
  prepared for quantization is in float32, and double is compared as such.
* *as the case states*: ONNX Runtime gives something else than the case expects for the operator, and the expected values once it
  is written out in an older opset: infinity behind a causal mask, which its Attention gives as the lowest number.
* *cut and proven*: the cut model computes what the whole one does with the cut neurons masked. *all frozen*: each group of neurons
  stays, with its reason.
* *made and run*: a model of integers has other outputs; it opens, runs, and gives the same shapes and types.
* *not runnable*: ONNX Runtime has no kernel for the case itself.
* *refused*: an error of Sardonyx with its cause and its remedy: a type or an operator that the older opset lacks, a model that the
  runtime refuses, samples or weights that are not finite.
* *different*: none of these. An error of any other kind counts as different too.
"""


if __name__ == "__main__":
    sys.exit(main())
