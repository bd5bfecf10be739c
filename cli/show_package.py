"""Bundles for people: what is in each, what has to be said of it, and what came of checking it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .console import Console
from .text import count, shorten, size, table

if TYPE_CHECKING:
    from ..deploy import Manifest, VerifyReport
    from ..pipeline import Bundle, Packaged


def show_packaged(console: Console, result: Packaged) -> None:
    """Each bundle: its files, its figures, the notes."""
    for bundle in result.bundles:
        _show_bundle(console, bundle)
    folders = [bundle.folder for bundle in result.bundles]
    console.say(f"wrote {result.folder}; next: sardonyx verify {folders[0]}")


def _show_bundle(console: Console, bundle: Bundle) -> None:
    manifest = bundle.manifest
    total = sum(entry.bytes for entry in manifest.files)
    console.say(
        f"{shorten(manifest.name)} for {manifest.platform}: {len(manifest.files)} files, {size(total)}, verified"
    )
    _show_models(console, manifest)
    _show_measured(console, manifest)
    test = manifest.self_test
    console.say(
        f"self-test: {test.samples} samples, {test.batch} in a run, tolerance {test.tolerance.absolute:.2g} "
        f"+ {test.tolerance.relative:.2g} of the value"
    )
    for note in bundle.notes:
        console.say(f"note: {note}")
    if manifest.usability:
        rows = [(u.provider, f"{u.taken} of {u.nodes}", u.partitions) for u in manifest.usability]
        console.show(table(("provider", "nodes taken", "pieces"), rows))
    for found in manifest.usability:
        for (op, reason), number in Counter((left.op, left.reason) for left in found.left).most_common():
            console.detail(f"{found.provider} leaves {number} {shorten(op)}: {reason}")
    console.say()


def _show_models(console: Console, manifest: Manifest) -> None:
    rows = [
        (m.file, size(m.bytes), size(m.gzip_bytes), count(m.params), count(m.macs), size(m.activation_bytes))
        for m in manifest.models
    ]
    console.show(table(("file", "bytes", "as gzip", "parameters", "MACs", "activations"), rows))


def _show_measured(console: Console, manifest: Manifest) -> None:
    found = manifest.measured
    if found is None:
        return
    if found.metric is not None and found.value is not None:
        ends = "" if found.low is None or found.high is None else f" ({found.low:.4f}..{found.high:.4f})"
        drop = "" if found.drop is None else f", {_against(found.drop)}"
        console.say(f"{found.metric} {found.value:.4f}{ends} on {found.samples} samples{drop}")
    if found.latency_ms is not None:
        console.say(
            f"{found.latency_ms:.3f} ms for a run of {found.batch} ({found.latency_low_ms:.3f}.."
            f"{found.latency_high_ms:.3f}) on {found.machine}"
        )


def _against(drop: float) -> str:
    if not drop:
        return "as good as the reference"
    return f"{abs(drop):.4f} {'worse' if drop > 0 else 'better'} than the reference"


def show_verified(console: Console, report: VerifyReport) -> None:
    """Every check, and how it went."""
    console.say(f"{shorten(report.name)} for {report.platform}, on {report.provider}")
    rows = [(check.status, check.name, check.detail) for check in report.checks]
    console.show(table(("result", "check", "found"), rows))
    passed = sum(check.status == "passed" for check in report.checks)
    console.say(f"{passed} of {len(report.checks)} checks passed")
