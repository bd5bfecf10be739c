"""Checking a bundle as whoever receives it would: whole, unchanged, loadable, and right on its own samples.

What the manifest says is bounded before it is believed, links and special files are refused unopened, and a file that is
not the one that was packaged is not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..core import ModelArtifact
from ..core.errors import ExpectationError, InputError, LimitError
from ..core.tensors import TensorSpec
from .bundle_files import hash_file, list_files
from .cpu_runs import Run, open_on_cpu
from .manifest import Manifest, manifest_bytes, parse_manifest, read_content, seal_of
from .manifest_parts import ModelEntry, TensorEntry
from .operators import check_operators, read_config
from .self_test import pieces, read_tensor, run_self_test

Opener: TypeAlias = Callable[[ModelArtifact], "Opened"]
"""Opens a model on the execution provider that is asked for."""

_NAMED = 5


@dataclass(frozen=True)
class Opened:
    """A model that is ready to run.

    Attributes:
        run: Runs one batch.
        notes: Says, once something ran, what has to be said of where it ran.
    """

    run: Run
    notes: Callable[[], tuple[str, ...]] = tuple


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: What.
        status: ``skipped`` where an earlier failure left nothing to check.
        detail: What was found, or why it failed.
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    detail: str


@dataclass(frozen=True)
class VerifyReport:
    """What came of checking a bundle.

    Attributes:
        folder: The bundle.
        name: What its model is called.
        platform: What it is for.
        provider: The execution provider that its model ran on.
        checks: What was checked, in order.
    """

    folder: Path
    name: str
    platform: str
    provider: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What failed."""
        return tuple(check for check in self.checks if check.status == "failed")

    @property
    def is_passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


def verify(folder: str | Path, *, provider: str = "cpu", open_model: Opener | None = None) -> VerifyReport:
    """Check a bundle: its files against the manifest, its models, and what they make of the samples.

    Args:
        folder: The bundle.
        provider: The execution provider, as the report names it.
        open_model: Opens the model there; on ONNX Runtime's own CPU kernels where None.

    Raises:
        InputError: The manifest cannot be read or says what no manifest says, or the folder holds links.
        LimitError: The folder holds more files than any bundle.
        ProviderError: The provider is not there, or ran nothing.
    """
    path = Path(folder)
    content = read_content(path)
    manifest = parse_manifest(content)
    work = _Verification(path, manifest, open_model or (lambda model: Opened(open_on_cpu(model))))
    return VerifyReport(
        path, manifest.name, manifest.platform, provider, tuple(work.checks(content, provider))
    )


def check_report(report: VerifyReport) -> None:
    """Insist that a bundle passed.

    Raises:
        ExpectationError: It did not; every failed check is named.
    """
    if report.failed:
        told = "; ".join(f"{check.name}: {check.detail}" for check in report.failed)
        raise ExpectationError(
            f"{len(report.failed)} of {len(report.checks)} checks failed: {told}",
            remedy="copy the bundle again from where it was made, or package the model again",
        )


@dataclass
class _Verification:
    """One bundle on its way through the checks."""

    folder: Path
    manifest: Manifest
    open_model: Opener
    damaged: frozenset[str] = frozenset()

    def checks(self, content: bytes, provider: str) -> Iterator[Check]:
        """Every check, in order."""
        yield self._seal(content)
        yield self._files()
        yield from self._run(self.manifest.model, provider)
        for entry in self.manifest.others:
            yield from self._run_ort(entry) if entry.format == "ort" else self._run_reference(entry, provider)

    def _seal(self, content: bytes) -> Check:
        if seal_of(self.manifest) != self.manifest.sha256:
            return Check("manifest", "failed", "it was changed: its seal is of something else")
        if manifest_bytes(self.manifest) != content:
            return Check("manifest", "failed", "it was changed: these are not the bytes that were sealed")
        return Check("manifest", "passed", f"sealed {self.manifest.sha256[:12]}")

    def _files(self) -> Check:
        found = list_files(self.folder)
        wrong: dict[str, str] = dict.fromkeys(found, "is not in the manifest")
        for entry in self.manifest.files:
            wrong.pop(entry.path, None)
            if entry.path not in found:
                wrong[entry.path] = "is missing"
            elif found[entry.path] != entry.bytes:
                wrong[entry.path] = f"has {found[entry.path]:,} bytes, not {entry.bytes:,}"
            elif hash_file(self.folder / entry.path) != entry.sha256:
                wrong[entry.path] = "was changed"
        self.damaged = frozenset(wrong)
        if wrong:
            told = ", ".join(f"{path[:200]} {what}" for path, what in list(wrong.items())[:_NAMED])
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            return Check("files", "failed", told + more)
        total = sum(entry.bytes for entry in self.manifest.files)
        return Check(
            "files", "passed", f"{len(self.manifest.files)} files, {total:,} bytes, as in the manifest"
        )

    def _broken(self, *files: str) -> str | None:
        """Why something is not checked any further."""
        tensors = (*self.manifest.self_test.inputs, *self.manifest.self_test.outputs)
        needed = (*files, *(tensor.file for tensor in tensors))
        return next((f"{path} is not as it was packaged" for path in needed if path in self.damaged), None)

    def _run(self, entry: ModelEntry, provider: str) -> Iterator[Check]:
        """Open the model, compare what it takes and gives, run the self-test."""
        name = f"{entry.file} self-test on {provider}"
        if (broken := self._broken(entry.file)) is not None:
            yield from (Check(what, "skipped", broken) for what in (entry.file, name))
            return
        try:
            model = ModelArtifact.open(self.folder / entry.file)
            self._check_interface(model)
            opened = self.open_model(model)
        except (InputError, LimitError, ExpectationError) as error:
            yield Check(entry.file, "failed", error.cause)
            yield Check(name, "skipped", f"{entry.file} does not load")
            return
        yield Check(entry.file, "passed", "opens, and takes and gives what the manifest says")
        yield self._test(name, opened)

    def _test(self, name: str, opened: Opened) -> Check:
        try:
            result = run_self_test(self.folder, self.manifest.self_test, opened.run)
        except InputError as error:
            return Check(name, "failed", error.cause)
        told = "; ".join((str(result).removeprefix("self-test: "), *opened.notes()))
        return Check(name, "passed" if result.is_passed else "failed", told)

    def _run_reference(self, entry: ModelEntry, provider: str) -> Iterator[Check]:
        """Run the reference on the same samples; what it gives is its own."""
        if (broken := self._broken(entry.file)) is not None:
            yield Check(entry.file, "skipped", broken)
            return
        try:
            run = self.open_model(ModelArtifact.open(self.folder / entry.file)).run
            self_test = self.manifest.self_test
            run(pieces({t.name: read_tensor(self.folder, t) for t in self_test.inputs}, self_test.runs)[0])
        except (InputError, LimitError) as error:
            yield Check(entry.file, "failed", error.cause)
        else:
            yield Check(entry.file, "passed", f"opens, and runs on {provider}")

    def _run_ort(self, entry: ModelEntry) -> Iterator[Check]:
        """Load the file in ORT format on the CPU, with the operators of the configuration; run the self-test."""
        names = (f"{entry.file} operators", f"{entry.file} self-test on cpu")
        operators = self.manifest.operators
        config = None if operators is None else operators.config
        broken = self._broken(entry.file, *([config] if config else []))
        if broken is not None:
            yield from (Check(name, "skipped", broken) for name in names)
            return
        if config is not None:
            yield self._operators(names[0], self.folder / entry.file, self.folder / config)
        try:
            opened = Opened(open_on_cpu(self.folder / entry.file))
        except InputError as error:
            yield Check(names[1], "failed", error.cause)
        else:
            yield self._test(names[1], opened)

    def _operators(self, name: str, file: Path, config: Path) -> Check:
        self_test = self.manifest.self_test
        try:
            feeds = pieces({t.name: read_tensor(self.folder, t) for t in self_test.inputs}, self_test.runs)
            found = read_config(config)
            check_operators(file, found, feeds[:1])
        except (ExpectationError, InputError) as error:
            return Check(name, "failed", error.cause)
        stated = self.manifest.operators
        if stated is not None and {k: tuple(v) for k, v in stated.required.items()} != {
            k: tuple(v) for k, v in found.required.items()
        }:
            return Check(name, "failed", f"{config.name} lists other operators than the manifest")
        number = sum(map(len, found.required.values()))
        return Check(name, "passed", f"{number} operators, all that the file needs")

    def _check_interface(self, model: ModelArtifact) -> None:
        """Refuse a manifest that describes other inputs and outputs than the model has."""
        for what, stated, specs in (
            ("inputs", self.manifest.inputs, model.inputs),
            ("outputs", self.manifest.outputs, model.outputs),
        ):
            if [_of_entry(e) for e in stated] != [_of_spec(s) for s in specs]:
                raise ExpectationError(f"its {what} are not those of the manifest", remedy="package it again")
        fed = [tensor.name for tensor in self.manifest.self_test.inputs]
        if sorted(fed) != sorted(spec.name for spec in model.inputs):
            raise ExpectationError(
                "the self-test feeds other inputs than it takes", remedy="package it again"
            )


def _of_entry(entry: TensorEntry) -> tuple[object, ...]:
    return entry.name, entry.type, entry.shape


def _of_spec(spec: TensorSpec) -> tuple[object, ...]:
    return spec.name, spec.dtype.name, spec.shape or ()
