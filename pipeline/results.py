"""The report of a run: what each step left behind, brought together from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.files import write_atomic
from ..passes.pruning.report import told_widths
from ..runtime import environment_fingerprint
from ..runtime.intervals import wilson
from .chain import MODEL, Chain
from .documents import json_bytes, plain
from .evidence import changed_samples, node_costs, node_times
from .layers import layers_of
from .names import network_names
from .report import (
    ChangedSample,
    Curve,
    Measured,
    RunReport,
    SkippedItem,
    Stage,
    StageLatency,
    environment_of,
    reads_in_percent,
    render_html,
)
from .workspace import StepRecord

_TRAININGS = frozenset({"train", "distill", "mutual"})
_WITH_CURVES = _TRAININGS | {"heal"}


def write_report(chain: Chain, place: Path, records: Sequence[StepRecord], command: str = "") -> RunReport:
    """Write ``report.json``, which is the truth, and ``report.html``, which renders it.

    Args:
        chain: The run.
        place: Its folder.
        records: What each step left behind.
        command: The command line that was given; empty where there was none.
    """
    report = build_report(chain, records, command)
    figures = {
        record.name: {"kind": record.kind, "seconds": record.seconds, **record.figures} for record in records
    }
    write_atomic(place / "report.json", json_bytes({**plain(report), "steps": figures}))
    write_atomic(place / "report.html", render_html(report).encode("utf8"))
    return report


def build_report(chain: Chain, records: Sequence[StepRecord], command: str = "") -> RunReport:
    """Bring the records of a run together.

    Args:
        chain: The run.
        records: What each step left behind.
        command: The command line that was given; empty where there was none.
    """
    compared = [record.figures for record in records if record.kind == "compare"]
    comparisons = [figures["comparison"] for figures in compared]
    profile = next((f["profile"] for f in reversed(compared) if f.get("profile") is not None), None)
    rows = {row["model"]: row for comparison in comparisons for row in comparison["rows"]}
    first = next(iter(rows.values()), None)
    recipe = chain.recipe
    stages = [_start(chain, rows["model"])] if "model" in rows else []
    for record in records:
        if record.kind in _TRAININGS:
            stages += _trained(record)
        elif record.kind != "compare":
            stages.append(_stage(chain, record, rows.get(record.name)))
    return RunReport(
        title=recipe.name,
        metric=recipe.data.metric if first is None else first["accuracy"]["metric"],
        stages=tuple(stages),
        higher_is_better=first is None or first["accuracy"]["higher_is_better"],
        is_share=reads_in_percent(recipe.data.metric if first is None else first["accuracy"]["metric"]),
        layers=layers_of(chain.graphs, records, node_times(profile)),
        skipped=tuple(_skipped(records)),
        curves=tuple(_curves(records)),
        environment=environment_of(environment_fingerprint()),
        provenance=_provenance(chain, records, comparisons),
        command=command,
        nodes=node_costs(profile, _operators(chain)),
        changed=_changed(chain, comparisons),
    )


def _start(chain: Chain, row: Mapping[str, Any]) -> Stage:
    """The model that the recipe starts from, with what was repaired when it was opened."""
    return Stage(name="model", kind="start", notes=chain.graphs["model"].notes, **_figures(row))


def _operators(chain: Chain) -> dict[str, str]:
    """The operator of each node of the last model."""
    last = next(reversed(chain.graphs), None)
    return {} if last is None else {n.name or "": n.op_type for n in chain.graphs[last].load().graph}


def _changed(chain: Chain, comparisons: Sequence[Mapping[str, Any]]) -> tuple[ChangedSample, ...]:
    """What the last model answers differently from the first, where a comparison listed it."""
    found = next((c["changed"] for c in reversed(comparisons) if c.get("changed")), ())
    if not found:
        return ()
    return changed_samples(found, next(reversed(chain.graphs)), chain.samples.get("evaluation", "compare"))


def _trained(record: StepRecord) -> Iterator[Stage]:
    """A stage for each network of a training step; the step's time is told once."""
    seconds: float | None = record.seconds
    for name, report in _networks(record).items():
        yield Stage(
            name=name,
            kind=record.kind,
            params=report["params"],
            accuracy=_top1(report),
            seconds=seconds,
            notes=tuple(_training_notes(record, report)),
        )
        seconds = None


def _networks(record: StepRecord) -> dict[str, Mapping[str, Any]]:
    """The report of each network that a training step made, by the network's name."""
    report = record.figures["report"]
    reports = report["networks"] if record.kind == "mutual" else [report]
    return dict(zip(network_names(record.name, len(reports)), reports, strict=True))


def _stage(chain: Chain, record: StepRecord, row: Mapping[str, Any] | None) -> Stage:
    report = record.figures.get("report", {})
    notes = tuple(_notes(record))
    if row is not None:
        return Stage(name=record.name, kind=record.kind, seconds=record.seconds, notes=notes, **_figures(row))
    after = report.get("after") or {}
    return Stage(
        name=record.name,
        kind=record.kind,
        params=after.get("params", report.get("params")),
        macs=after.get("macs"),
        size_bytes=chain.graphs[record.name].size_bytes,
        seconds=record.seconds,
        notes=notes,
    )


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a stage from its row in a comparison."""
    warnings = [f"batch {r['batch']}: {w}" for r in row["latency"] for w in r["warnings"]]
    return {
        "params": row["params"],
        "macs": row["macs"],
        "size_bytes": row["size_bytes"],
        "accuracy": _measured(row["accuracy"]),
        "drop": _measured(row["drop"]),
        "agreement": _measured(row["agreement"]),
        "latency": tuple(_latency(r) for r in row["latency"]),
        "warnings": (*row["accuracy"]["notes"], *warnings),
    }


def _latency(row: Mapping[str, Any]) -> StageLatency:
    return StageLatency(
        batch=row["batch"],
        median_ms=Measured(row["median_ms"], row["low_ms"], row["high_ms"]),
        speed_ratio=Measured(row["speed_ratio"], row["speed_low_ratio"], row["speed_high_ratio"]),
        verdict=row["verdict"],
        provider=row["provider"],
    )


def _measured(figure: Mapping[str, Any] | None) -> Measured | None:
    """A figure with its interval; None for one that is not finite and so could not be recorded."""
    if figure is None or figure["value"] is None:
        return None
    return Measured(figure["value"], figure["low"], figure["high"], figure["method"])


def _top1(report: Mapping[str, Any]) -> Measured | None:
    """The share of evaluation samples that are right; None where something else was measured."""
    value = report["evaluation_top1_ratio"]
    return None if value is None else _share(value, report["evaluation_samples"])


def _share(value: float, samples: int) -> Measured:
    interval = wilson(round(value * samples), samples)
    return Measured(value, interval.low, interval.high, interval.method)


def _training_notes(record: StepRecord, report: Mapping[str, Any]) -> Iterator[str]:
    """What the training of one network decided, in sentences."""
    yield f"epoch {report['best_epoch']} of {len(report['history'])} was the best on held-out samples"
    yield f"trained in {report['precision']} on {report['device']}"
    if report["evaluation_top1_ratio"] is None:
        yield f"{report['metric']} on the evaluation samples: {report['evaluation_score']:.4f}"
    if record.kind == "mutual":
        yield f"learned in the same steps as the others of: {', '.join(_networks(record))}"
        agreement = record.figures["report"]["agreement_ratio"]
        yield f"all of them agree on {agreement:.2%} of the evaluation samples"
    if record.kind == "distill":
        if report["teacher_top1_ratio"] is not None:
            yield f"the teacher reaches {report['teacher_top1_ratio']:.2%}"
        if report["agreement_ratio"] is not None:
            yield f"both agree on {report['agreement_ratio']:.2%} of the evaluation samples"
        yield from report["notes"]
        yield from (f"layers compared: {pair}" for pair in report["pairs"])


def _notes(record: StepRecord) -> Iterator[str]:
    """What a step that makes a graph decided, in sentences."""
    figures, report = record.figures, record.figures.get("report", {})
    if record.kind == "heal":
        yield (
            f"{report['metric']}: {report['before_score']:.4f} before, {report['evaluation_score']:.4f} healed, "
            f"{report['teacher_score']:.4f} the teacher"
        )
    if record.kind == "export":
        yield f"{report['exporter']} exporter, opset {report['opset']}"
        yield from (
            f"the {a['exporter']} exporter was not taken: {a['reason']}" for a in report["attempts"][:-1]
        )
        parity = report["attempts"][-1]["parity"]
        worst = max((row["max_difference"] / (row["magnitude"] or 1.0) for row in parity), default=0.0)
        yield f"parity on {len(parity)} comparisons, largest difference {worst:.1e} of the output's magnitude"
    if record.kind == "prune" and report["proof"] is not None:
        yield (
            f"masked original == pruned on {report['proof']['samples']} samples, "
            f"largest difference {report['proof']['largest_difference']:.1e} of the output's scale"
        )
    if record.kind == "prune":
        widths = [(g["width_before"], g["width_after"]) for g in report["plan"]]
        yield told_widths(widths, report["alignment"])
    if record.kind == "quantize":
        yield from figures["reasons"]
        if figures["integer_nodes"] is not None:
            yield f"{figures['integer_nodes']} of {figures['placed_nodes']} nodes of the optimised graph run on integers"
        restored = (figures["budget"] or {}).get("restored", [])
        yield from (f"put back to float: {name}" for name in restored)


def _skipped(records: Sequence[StepRecord]) -> Iterator[SkippedItem]:
    for record in records:
        for skip in record.figures.get("report", {}).get("skipped", ()):
            yield SkippedItem(record.name, skip["node"], skip["code"], skip["text"])


def _curves(records: Sequence[StepRecord]) -> Iterator[Curve]:
    """The loss of each network, and what each training was judged by."""
    for record in records:
        report = record.figures.get("report", {})
        if record.kind == "mutual":
            for name, own in _networks(record).items():
                yield _loss_curve(name, own)
            yield _score_curve(record.name, report["together"])
        elif record.kind in _WITH_CURVES and report["history"]:
            yield _loss_curve(record.name, report)
            yield _score_curve(record.name, report)


def _loss_curve(name: str, report: Mapping[str, Any]) -> Curve:
    return Curve(name, "loss", _epochs(report), tuple(row["losses"]["total"] for row in report["history"]))


def _score_curve(name: str, report: Mapping[str, Any]) -> Curve:
    scores = tuple(row["validation_score"] for row in report["history"])
    return Curve(name, report["metric"], _epochs(report), scores)


def _epochs(report: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(float(row["epoch"]) for row in report["history"])


def _provenance(chain: Chain, records: Sequence[StepRecord], comparisons: Sequence[Any]) -> dict[str, str]:
    """Hashes that pin what went in and what came out."""
    found = {"seed": str(chain.recipe.seed), "target": chain.recipe.target}
    for comparison in comparisons:
        found["evaluation"] = f"{comparison['samples']} samples of {comparison['data_origin']}"
        found["evaluation sha256"] = comparison["data_fingerprint"]
    if chain.recipe.model is not None:
        found["model sha256"] = chain.graphs["model"].sha256
    return found | {f"{r.name} sha256": r.outputs[MODEL] for r in records if MODEL in r.outputs}
