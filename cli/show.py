"""Results for people: what was done, what was not and why, and what to do next."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .console import Console
from .text import count, share, size, table

if TYPE_CHECKING:
    from ..core.reports import GraphMetrics, Skip
    from ..pipeline import Exported, Inspection, Pruned, RunResult
    from ..runtime import Accuracy, CompareReport, LatencyRow, LatencySkip

_SHOWN = 12


def show_export(console: Console, result: Exported) -> None:
    """Which exporter it was, and how close module and model are."""
    report = result.report
    console.say(f"exported by the {report.exporter} exporter, opset {report.opset}")
    for attempt in report.fallbacks:
        console.say(f"the {attempt.exporter} exporter was not taken: {attempt.reason}")
    worst = max((row.max_difference / (row.magnitude or 1.0) for row in report.parity), default=0.0)
    console.say(
        f"parity holds on {len(report.parity)} comparisons: largest difference {worst:.1e} of the output's "
        f"magnitude; {report.required_factor:.2f} of the tolerance would have done"
    )
    for note in report.notes:
        console.say(f"note: {note}")
    rows = [
        (r.case, r.output, f"{r.max_difference:.2e}", f"{r.magnitude:.3g}", f"{r.atol:.1e}", f"{r.rtol:.1e}")
        for r in report.parity
    ]
    if console.verbose:
        console.show(table(("case", "output", "difference", "magnitude", "atol", "rtol"), rows))


def show_inspect(console: Console, found: Inspection) -> None:
    """What a model holds."""
    console.say(f"{found.name}: {size(found.size_bytes)}, sha256 {found.sha256}")
    opsets = ", ".join(f"{domain} {number}" for domain, number in found.opsets.items())
    console.say(f"IR {found.ir_version}, opset {opsets}; made by {found.producer or 'an unnamed producer'}")
    for kind, specs in (("input ", found.inputs), ("output", found.outputs)):
        for spec in specs:
            console.say(f"{kind}  {spec}")
    console.say(
        f"parameters {count(found.size.params)}, MACs {count(found.size.macs)} a sample, "
        f"nodes {found.size.nodes}, weights {size(found.size.size_bytes)}"
    )
    console.say("types: " + ", ".join(f"{kind} {count(number)}" for kind, number in found.dtypes.items()))
    console.say("operators: " + ", ".join(f"{name} {number}" for name, number in found.operators.items()))
    for note in found.notes:
        console.say(f"note: {note}")
    if found.groups is not None:
        _show_groups(console, found)


def _show_groups(console: Console, found: Inspection) -> None:
    groups = found.groups or ()
    free = [g for g in groups if g.reason is None]
    frozen = [g for g in groups if g.reason is not None]
    console.say()
    console.say(
        f"{len(free)} groups can be cut, {len(frozen)} are frozen; "
        f"{found.cuttable_ratio or 0:.0%} of the parameters lie in weights that a free group touches"
    )
    rows = [(g.name, g.neurons, g.params_per_neuron, count(g.macs_per_neuron), len(g.members)) for g in free]
    headings = ("group", "neurons", "parameters each", "MACs each", "weights")
    console.show(table(headings, rows) if rows else "no group can be cut")
    for group in frozen:
        console.say(f"frozen: {group.name}, {group.neurons} neurons: {group.reason}")


def show_prune(console: Console, result: Pruned, *, explain: bool = False) -> None:
    """What was cut, the proof, and what stayed."""
    from ..passes.pruning.report import told_widths

    report = result.report
    show_metrics(console, report.before, report.after)
    if report.proof is not None:
        console.say(
            f"proof: masked original == pruned on {report.proof.samples} samples, largest difference "
            f"{report.proof.largest_difference:.1e} of the output's scale ({report.proof.tolerance:.0e} allowed)"
        )
    elif "sparsity" not in report.details:
        console.say("proof: there is none to make, as no neuron was taken out")
    if result.latency is not None:
        row = result.latency.result
        predicted = "?" if row.predicted_ratio is None else f"{row.predicted_ratio:.2f}"
        console.say(
            f"time at batch {result.latency.batch}: {row.measured_ratio:.2f} of the uncut model's "
            f"({row.low_ratio:.2f} to {row.high_ratio:.2f}); the table of layer times predicted {predicted}"
        )
    if report.corrections:
        errors = [[c.error_before for c in report.corrections], [c.error_after for c in report.corrections]]
        before, after = (sum(e) / len(e) for e in errors)
        console.say(
            f"{len(errors[0])} layers corrected: error of their outputs on held-out samples {before:.2%} -> {after:.2%}"
        )
    if "sparsity" in report.details:
        _show_sparsity(console, report.details)
        show_skipped(console, report.skipped, "stays dense")
        return
    if report.output_error is not None:
        console.say(
            f"outputs on held-out samples: {report.output_error:.2%} of their variance from the original's"
        )
    if report.stopped is not None:
        left = report.budget["left"]
        console.say(f"stopped at {left:.2f} of the {report.budget['kind']}: {report.stopped}")
    console.say(told_widths([(g.width_before, g.width_after) for g in report.plan], report.alignment))
    if explain or console.verbose:
        rows = [(g.name, g.width_before, g.width_after, g.params_per_neuron) for g in report.plan]
        console.show(table(("group", "before", "after", "parameters each"), rows))
    show_skipped(console, report.skipped, "stays whole")


def _show_sparsity(console: Console, details: Mapping[str, Any]) -> None:
    before, after = details["compressed_bytes_before"], details["compressed_bytes_after"]
    console.say(
        f"{details['sparsity']:.1%} of the weights are zero; compressed {count(before)} -> {count(after)} bytes"
    )
    console.say(details["note"])


def show_compare(console: Console, report: CompareReport) -> None:
    """Models side by side."""
    batches = report.latency_options.batches if report.latency_options else ()
    headings = ["model", "bytes", "parameters", report.metric, "95 %", "agreement"]
    for batch in batches:
        headings += [f"ms @{batch}", "spread", "speed", ""]
    rows = []
    for row in report.rows:
        cells: list[object] = [
            row.model,
            count(row.size_bytes),
            count(row.params),
            f"{row.accuracy.value:.4f}",
        ]
        cells += [_interval(row.accuracy), "" if row.agreement is None else f"{row.agreement.value:.4f}"]
        for batch in batches:
            timed = next((r for r in row.latency if r.batch == batch), None)
            if timed is None:
                cells += ["not taken", "", "", ""]
            else:
                cells += [
                    f"{timed.median_ms:.3f}",
                    f"{timed.spread_ratio:.0%}",
                    f"{timed.speed_ratio:.2f}x",
                    timed.verdict,
                ]
        rows.append(cells)
    console.say(f"{report.samples} samples of {report.data_origin}; {_machine(report.environment)}")
    console.show(table(headings, rows))
    for row in report.rows:
        for note in row.accuracy.notes:
            console.say(f"note: {row.model}: {note}")
    show_timing_notes(console, [t for row in report.rows for t in row.latency], report.skipped)


def show_run(console: Console, result: RunResult) -> None:
    """What each stage of a run gave, and where everything is."""
    from ..pipeline.report import print_report

    print_report(result.report, sys.stderr if console.json_wanted else sys.stdout)
    rows = [
        (r.name, r.kind, "reused" if r.reused else f"{r.seconds:.1f} s", r.folder) for r in result.records
    ]
    console.show(table(("step", "kind", "time", "folder"), rows))
    if result.model is not None:
        console.say(f"final model: {result.model.path} ({size(result.model.size_bytes)})")


def show_timing_notes(console: Console, rows: Sequence[LatencyRow], skipped: Sequence[LatencySkip]) -> None:
    """What makes timings less certain; one line for a remark that differs only in its numbers."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            kind = re.sub(r"[\d.]+", "#", warning)
            found.setdefault(kind, []).append(f"{row.model} at batch {row.batch}: {warning}")
    for notes in found.values():
        more = f" (and {len(notes) - 1} more of {len(rows)} timings)" if len(notes) > 1 else ""
        console.say(f"note: {notes[0]}{more}")
    for skip in skipped:
        console.say(f"note: {skip.model} at batch {skip.batch} was not timed: {skip.reason}")


def show_metrics(console: Console, before: GraphMetrics | None, after: GraphMetrics | None) -> None:
    """Sizes before and after, side by side."""
    if before is None or after is None:
        return
    rows = [
        ("parameters", count(before.params), count(after.params), share(after.params, before.params)),
        ("MACs", count(before.macs), count(after.macs), share(after.macs, before.macs)),
        (
            "bytes of weights",
            size(before.size_bytes),
            size(after.size_bytes),
            share(after.size_bytes, before.size_bytes),
        ),
        ("nodes", before.nodes, after.nodes, share(after.nodes, before.nodes)),
    ]
    console.show(table(("", "before", "after", "left"), rows))


def show_skipped(console: Console, skipped: Sequence[Skip], what: str) -> None:
    """The reasons, counted; every one of them with ``-v``."""
    if not skipped:
        return
    shown = skipped if console.verbose else skipped[:_SHOWN]
    for skip in shown:
        console.say(f"{what}: {skip.node}: {skip.text}")
    if len(skipped) > len(shown):
        codes = Counter(skip.code for skip in skipped[len(shown) :])
        rest = ", ".join(f"{number} {code}" for code, number in codes.most_common())
        console.say(f"{len(skipped) - len(shown)} more ({rest}); -v shows each")


def _interval(accuracy: Accuracy) -> str:
    return "" if accuracy.low is None or accuracy.high is None else f"{accuracy.low:.4f}..{accuracy.high:.4f}"


def _machine(environment: Any) -> str:
    flags = " ".join(
        f for f in environment.flags if f in {"avx2", "avx512f", "avx512_vnni", "avx_vnni", "asimddp", "i8mm"}
    )
    return f"{environment.cpu}, {environment.cores} cores, {flags or 'flags unknown'}"
