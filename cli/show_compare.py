"""What tells models apart, for people: tests of drops, drift layer by layer, samples whose answer changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import Console
from .text import clean, shorten, table

if TYPE_CHECKING:
    from ..runtime import ChangedAnswers, CompareReport, Drift, DropTest, Interval, ValueDrift

_SHOWN = 12


def show_drops(console: Console, report: CompareReport) -> None:
    """Whether what each model loses is real."""
    for row in report.rows:
        if row.drop is not None and row.drop_test is not None:
            console.say(_drop(row.model, report.metric, row.drop, row.drop_test))


def _drop(model: str, metric: str, drop: Interval, test: DropTest) -> str:
    name = shorten(model)
    if test.verdict == "real":
        what = (
            f"{name} {'loses' if drop.value >= 0 else 'gains'} {abs(drop.value):.4g} of {clean(metric)}: real"
        )
    else:
        what = f"{name}: no difference in {clean(metric)} that these samples could show"
    counts = "" if test.lost is None else f"; {test.lost} samples lost, {test.gained} gained"
    ends = f"drop {drop.value:.4g}, 95 % {drop.low:.4g}..{drop.high:.4g}"
    return f"{what} ({test.method}, p = {test.p_value:.2g}; {ends}{counts})"


def show_drift(console: Console, drift: Drift) -> None:
    """The error of each output and of the layers, worst first where they are many."""
    console.say()
    console.say(f"drift of {shorten(drift.model)} on {drift.samples} samples")
    headings = ("output", "largest error", "relative", "cosine", "SQNR dB")
    console.show(table(headings, [_errors(v.value, v) for v in drift.outputs]))
    if not drift.values:
        console.say("no inner value has the same name and shape in both")
        return
    console.say(
        f"{len(drift.values)} values compared layer by layer; {drift.not_compared} are not in both in one shape"
    )
    first = drift.first_diverged
    if first is None:
        console.say(f"none falls below {drift.threshold_db:g} dB")
    else:
        console.say(
            f"the first below {drift.threshold_db:g} dB is {shorten(first.value)} of "
            f"{' '.join(filter(None, (first.op_type, shorten(first.node))))}, {_depth(first)}"
        )
    values = drift.values if console.verbose else _worst(drift.values)
    rows = [(*_errors(v.node or v.value, v), "" if v.jump_db is None else f"{v.jump_db:.1f}") for v in values]
    console.show(table(("node", *headings[1:], "lost dB"), rows))
    if len(values) < len(drift.values):
        console.say(f"the {len(values)} that lose most, in order; -v shows all {len(drift.values)}")


def _worst(values: tuple[ValueDrift, ...]) -> list[ValueDrift]:
    """Those that add most to the error of what they read, in the order of the graph."""
    chosen = sorted(values, key=lambda v: -(v.jump_db if v.jump_db is not None else -v.sqnr_db))[:_SHOWN]
    return [v for v in values if v in chosen]


def _depth(value: ValueDrift) -> str:
    if value.broken:
        return f"with {value.broken} numbers NaN or infinite in one only"
    return f"at {value.sqnr_db:.1f} dB{_jump(value)}"


def _jump(value: ValueDrift) -> str:
    return "" if value.jump_db is None else f", {value.jump_db:.1f} dB lower than what it reads"


def _errors(name: str, value: ValueDrift) -> tuple[str, ...]:
    broken = f" and {value.broken} numbers NaN or infinite in one only" if value.broken else ""
    cosine = "" if value.cosine is None else f"{value.cosine:.6f}"
    return (name, f"{value.max_abs:.3g}{broken}", f"{value.relative:.2%}", cosine, f"{value.sqnr_db:.1f}")


def show_changed(console: Console, found: ChangedAnswers) -> None:
    """The samples whose answer changed, and how."""
    console.say()
    counts = "" if found.lost is None else f", {found.lost} of them lost and {found.gained} gained"
    console.say(
        f"{shorten(found.model)} answers {found.changed} of {found.samples} samples differently{counts}"
    )
    if not found.answers:
        return
    rows = [
        (
            a.index,
            "?" if a.label is None else a.label,
            a.before,
            a.after,
            f"{a.before_margin:.3g}",
            f"{a.after_margin:.3g}",
        )
        for a in found.answers
    ]
    console.show(table(("sample", "label", "before", "after", "margin before", "margin after"), rows))
    if len(found.answers) < found.changed:
        console.say(f"the {len(found.answers)} of which the first model was surest")
