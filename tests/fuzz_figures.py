"""What random graphs and changed bytes came to in all: a plugin of pytest for `make fuzz`, ``-p fuzz_figures``."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest

PASSED = re.compile(r"(\d+) passing(?: examples)?, (\d+) failing")
FIGURES = {
    "graphs": "random graphs",
    "files": "changed files",
    "bytes": "changed bytes",
    "refused": "of the files refused",
}
ABOUT_BYTES = "tests/fuzz/"
STARTED = time.monotonic()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Count the examples of a hypothesis test, which tells of them in words only."""
    report = yield
    if call.when == "call":
        told = getattr(item, "hypothesis_statistics", "")
        counts = PASSED.findall(told)
        assert bool(told) == bool(counts), f"statistics of another form: {told}"
        for passing, failing in counts:
            report.user_properties.append(("graphs", int(passing) + int(failing)))
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the sums."""
    reports = [
        r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, []) if r.when == "call"
    ]
    sums: Counter[str] = Counter()
    for report in reports:
        sums.update({name: value for name, value in report.user_properties if name in FIGURES})
    failed = Counter(r.nodeid.startswith(ABOUT_BYTES) for r in reports if r.failed)
    terminalreporter.section("fuzz")
    for name, words in FIGURES.items():
        if sums[name]:
            terminalreporter.write_line(f"{sums[name]:>12,} {words}")
    terminalreporter.write_line(f"{failed[False]:>12,} tests with wrong outputs")
    terminalreporter.write_line(f"{failed[True]:>12,} tests with foreign exceptions")
    terminalreporter.write_line(f"{time.monotonic() - STARTED:>12,.0f} seconds")
