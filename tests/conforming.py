"""What our passes make of operator cases: the outputs of ONNX Runtime before and after each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx_ir as ir
from onnx_sessions import Held, NotRunnableError, Output, Session
from operator_forms import Form, Subject, between, given, stored
from sardonyx.calib_data import OrtRunner
from sardonyx.core import ExpectationError, ModelArtifact, SardonyxError, get_target
from sardonyx.deploy import get_platform, lower
from sardonyx.passes.pruning import PruneOptions, prune
from sardonyx.passes.quantization import QuantizeOptions, quantize
from sardonyx.passes.quantization.opset import PER_CHANNEL_OPSET
from sardonyx.passes.quantization.preparation import prepare
from sardonyx.pipeline import inspect
from sardonyx.pipeline.opening import clean

RUNNER = OrtRunner(threads=1)
TARGET = get_target("cpu-x86")
DEVICE = get_platform("android")
"""The platform with the oldest opset."""

EPSILON = {
    ir.DataType.FLOAT: 2.0**-23,
    ir.DataType.DOUBLE: 2.0**-52,
    ir.DataType.FLOAT16: 2.0**-10,
    ir.DataType.BFLOAT16: 2.0**-7,
}
ROUNDINGS = 2.0
"""How many units in the last place, for each root of the number of summands, another order of operations may cost."""

Verdict = Literal[
    "equal", "rounded", "stated", "proven", "frozen", "made", "refused", "not runnable", "different"
]


class Finding(NamedTuple):
    """What became of one case in one form at one stage.

    Attributes:
        case: Its name.
        form: Its form.
        stage: The pass.
        verdict: ``equal`` is bitwise, ``rounded`` within a tolerance from type and number of summands; ``stated`` is what
            the case expects where ONNX Runtime itself departs from it; a cut is ``proven``, or all neurons are
            ``frozen``; what has no exact counterpart is ``made``.
        reason: Why it was refused or frozen, is not runnable, or how it differs.
    """

    case: str
    form: Form
    stage: str
    verdict: Verdict
    reason: str = ""


def findings(case: Any) -> Iterator[Finding]:
    """Take a case in all its forms through every stage."""
    subject = given(case)
    yield from _exact_stages(subject)
    fixed = stored(subject)
    if fixed is not None:
        yield from _exact_stages(fixed)
    for axis in (1, -1):
        joined = between(subject, axis)
        if joined is not None:
            yield from _neuron_stages(joined)


def _exact_stages(subject: Subject) -> Iterator[Finding]:
    """What must not change the outputs."""
    before = _ran(subject.model.SerializeToString(), subject)
    door = _made(lambda: ModelArtifact.of(ir.from_proto(subject.model)))
    yield _judged(subject, "door", door, before, is_exact=True)
    if not isinstance(door, ModelArtifact):
        return
    cleaned = _made(lambda: clean(door)[0])
    yield _judged(subject, "cleanup", cleaned, before)
    yield _judged(subject, "lowering", _made(lambda: _lowered(door)), before)
    if isinstance(cleaned, ModelArtifact):
        yield _judged(subject, "coupling", _made(lambda: inspect(cleaned, coupling=True) and cleaned), before)
        prepared = _made(lambda: _prepared(cleaned, subject))
        yield _judged(subject, "prepared", prepared, before, epsilon=EPSILON[ir.DataType.FLOAT])


def _lowered(model: ModelArtifact) -> ModelArtifact:
    return lower(model, opset=DEVICE.opset, ir_version=DEVICE.ir_version)[0]


def _prepared(model: ModelArtifact, subject: Subject) -> ModelArtifact:
    """What quantization does to a model before it makes anything integer."""
    data = subject.samples
    if data is None:
        return model
    bound = data.for_model(model.inputs)
    return ModelArtifact.of(prepare(model.load(), PER_CHANNEL_OPSET, bound, RUNNER).model)


def _neuron_stages(subject: Subject) -> Iterator[Finding]:
    """Neurons that run through an operator are cut, or frozen with a reason."""
    before = _ran(subject.model.SerializeToString(), subject)
    cleaned = _made(lambda: clean(ModelArtifact.of(ir.from_proto(subject.model)))[0])
    yield _judged(subject, "cleanup", cleaned, before)
    if not isinstance(cleaned, ModelArtifact) or not isinstance(before, list):
        return
    plain = PruneOptions(ratio=0.4, criterion="random", compensate=False, align=1, steps=1)
    wide = PruneOptions(ratio=0.4, align=1, steps=1, approximate=True)
    for stage, options in (("prune", plain), ("prune widely", wide)):
        yield _cut(subject, cleaned, stage, options)
    yield _quantized(subject, cleaned)


def _cut(subject: Subject, model: ModelArtifact, stage: str, options: PruneOptions) -> Finding:
    name, form = subject.case, subject.form
    try:
        data = subject.samples.for_model(model.inputs)
        outcome = prune(model.load(), data, options, target=TARGET, runner=RUNNER)
        ModelArtifact.of(outcome.model)
    except ExpectationError as error:
        is_frozen = error.cause.startswith("no group of neurons may be cut")
        return Finding(name, form, stage, "frozen" if is_frozen else "different", error.cause)
    except SardonyxError as error:
        return Finding(name, form, stage, "refused", f"{type(error).__name__}: {error.cause}")
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
        return Finding(name, form, stage, "different", f"raises {error!r}")
    report = outcome.report
    unnamed = [skip for skip in report.skipped if not skip.text]
    if unnamed or (report.proof is None and report.rounds):
        return Finding(name, form, stage, "different", f"no reason or no proof: {unnamed}")
    reasons = "; ".join(sorted({skip.code for skip in report.skipped}))
    return Finding(name, form, stage, "proven" if report.rounds else "frozen", reasons)


def _quantized(subject: Subject, model: ModelArtifact) -> Finding:
    """A model with integers has other outputs; it must open, run, and give them in the same shapes."""
    options = QuantizeOptions(at_any_cost=True, keep_statistics=False, error_samples=0)
    try:
        data = subject.samples.for_model(model.inputs)
        made = ModelArtifact.of(quantize(model.load(), data, options, target=TARGET, runner=RUNNER).model)
    except SardonyxError as error:
        return Finding(
            subject.case, subject.form, "quantize", "refused", f"{type(error).__name__}: {error.cause}"
        )
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
        return Finding(subject.case, subject.form, "quantize", "different", f"raises {error!r}")
    after, before = _ran(made.content, subject), _ran(model.content, subject)
    if isinstance(after, NotRunnableError):
        return Finding(subject.case, subject.form, "quantize", "different", f"does not run: {after}")
    same = all(
        (a.dtype, a.shape) == (b.dtype, b.shape)
        for a, b in zip(after[0], before[0], strict=True)
        if isinstance(a, Held)
    )
    return Finding(subject.case, subject.form, "quantize", "made" if same else "different", "")


def _made(step: Callable[[], ModelArtifact]) -> ModelArtifact | Exception:
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked for
        return error


def _ran(message: bytes, subject: Subject) -> list[list[Output]] | NotRunnableError:
    try:
        session = Session(message)
        return [session.run(feed) for feed in subject.feeds]
    except NotRunnableError as error:
        return error


def _judged(
    subject: Subject,
    stage: str,
    made: ModelArtifact | Exception,
    before: list[list[Output]] | NotRunnableError,
    *,
    is_exact: bool = False,
    epsilon: float = 0.0,
) -> Finding:
    """Compare what came out of a stage with what went in; it may compute in numbers as coarse as ``epsilon``."""
    name, form = subject.case, subject.form
    if isinstance(made, SardonyxError):
        return Finding(name, form, stage, "refused", f"{type(made).__name__}: {made.cause}")
    if isinstance(made, Exception):
        return Finding(name, form, stage, "different", f"raises {made!r}")
    if isinstance(before, NotRunnableError):
        return Finding(name, form, stage, "not runnable", before.kind)
    after = _ran(made.content, subject)
    if isinstance(after, NotRunnableError):
        return Finding(name, form, stage, "different", f"does not run any more: {after}")
    if before == after:
        return Finding(name, form, stage, "equal")
    wrong = "not bitwise equal" if is_exact else _difference(before, after, subject.summands, epsilon)
    if not wrong:
        return Finding(name, form, stage, "rounded")
    is_stated = not is_exact and not _difference(subject.expected, after, subject.summands, epsilon)
    return Finding(name, form, stage, "stated" if is_stated else "different", wrong)


def _difference(before: Output, after: Output, summands: int, epsilon: float) -> str:
    """In words, what rounding does not explain; empty where it explains all."""
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return next((wrong for a, b in pairs if (wrong := _difference(a, b, summands, epsilon))), "")
    if before == after:
        return ""
    if not (isinstance(before, Held) and isinstance(after, Held)):
        return f"{before!r:.60} became {after!r:.60}"
    if (before.dtype, before.shape) != (after.dtype, after.shape):
        return f"{before.dtype} {before.shape} became {after.dtype} {after.shape}"
    if before.dtype not in EPSILON:
        return f"{before.numpy().ravel()[:4]} became {after.numpy().ravel()[:4]}"
    a, b = (held.numpy().astype(np.float64) for held in (before, after))
    finite = np.isfinite(a)
    if not np.array_equal(np.where(finite, 0.0, a), np.where(np.isfinite(b), 0.0, b), equal_nan=True):
        return "NaN or infinity in other places"
    far = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    scale = float(np.abs(a[finite]).max(initial=0.0))
    allowed = ROUNDINGS * max(EPSILON[before.dtype], epsilon) * math.sqrt(summands) * scale
    return "" if far <= allowed else f"differs by {far:.2e} of {scale:.2e}, {allowed:.2e} is allowed"
