"""Does the harness call noise a win, and does it find a tenth more work?

python benchmarks/no_difference.py            # 20 runs on the machine as it is, 20 with one core kept busy
python benchmarks/no_difference.py --runs 5 --threads 1

Each run opens a network, a copy of it, and one with a tenth more work in the same layers, and times them in turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from planted import USUAL, residual
from sardonyx.pipeline.measurement import ROUNDS
from sardonyx.runtime import LatencyOptions, measure_latency

MORE = USUAL * 11 // 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    models = {"as it is": residual(), "copy": residual(), "a tenth more": residual(MORE)}
    for busy in (False, True):
        found: dict[str, Counter[str]] = {name: Counter() for name in models}
        ratios, others = [], []
        with _busy_core(busy):
            for run in range(arguments.runs):
                options = LatencyOptions(
                    batches=(arguments.batch,),
                    threads=arguments.threads,
                    rounds=ROUNDS,
                    seconds=arguments.seconds,
                    seed=run,
                )
                report = measure_latency(models, None, options)
                for row in report.rows:
                    found[row.model][row.verdict] += 1
                ratios.append(report.rows[-1].speed_ratio)
                if report.conditions is not None and report.conditions.others_cores is not None:
                    others.append(report.conditions.others_cores)
        print("one core kept busy" if busy else "the machine as it is")
        if others:
            print(f"  other work took {sum(others) / len(others):.2f} cores on average")
        print(f"  copy: no difference in {found['copy']['no difference']} of {arguments.runs}")
        print(
            f"  a tenth more work: slower in {found['a tenth more']['slower']} of {arguments.runs}, "
            f"at {min(ratios):.3f}x to {max(ratios):.3f}x"
        )


@contextmanager
def _busy_core(wanted: bool) -> Iterator[None]:
    """Another process that never rests."""
    if not wanted:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
