"""Sessions on exactly the execution provider that was asked for.

A session gets the requested provider and, as an explicit last resort, the CPU. It is verified twice: the
session must hold the provider when it opens, and its first run, which is profiled, must use it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..core import ModelArtifact
from ..core.domains import check_domains
from ..core.errors import DataError, ModelError, ProviderError, UsageError
from ..core.events import tell
from ..core.files import temporary_folder
from ..core.run_errors import blame
from ..core.tensors import Array, Feed
from .engine import load_onnxruntime, quiet_options
from .failing_node import own_failure
from .kernel_times import KernelTimes, kernel_times
from .ort_log import log_of_opening, reason_not_started
from .placement import NodeTime, Placement, check_placement, parse_profile, place
from .providers import CPU, Choice, check_started, choose_provider, current_offer, driver_remedy

DEVICE_MEMORY: dict[str, str] = {
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
    "NvTensorRTRTXExecutionProvider": "cuda",
    "DmlExecutionProvider": "dml",
    "CANNExecutionProvider": "cann",
}
"""Where arrays can be put ahead of a run, by ONNX Runtime's name of the memory; others take CPU arrays."""


_RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"
"""Makes ONNX Runtime 1.24 and newer keep which node it gave to which provider."""

_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
"""Where the external data lies of a model that is given as bytes."""


class Session:
    """A model on a provider, ready to run. Made by :func:`open_session`.

    Attributes:
        model: The model.
        choice: The provider that was found for it.
        threads: Threads inside an operator; 0 is ONNX Runtime's choice.
        placement: Where the nodes of the first run ran; None before it, and on the CPU unless profiled.
        node_times: The kernels of the profiled runs; empty where none was profiled.
        kernel_times: The same, run by run; None where none was profiled.
        notes: What has to be said: a fallback, and nodes that ran elsewhere.
        load_ms: Milliseconds that ONNX Runtime took to make the session.
    """

    def __init__(
        self,
        model: ModelArtifact,
        choice: Choice,
        threads: int,
        allow_fallback: bool,
        raw: Any,
        profile: _Profile,
        load_ms: float,
    ) -> None:
        self.model = model
        self.choice = choice
        self.threads = threads
        self.placement: Placement | None = None
        self.node_times: tuple[NodeTime, ...] = ()
        self.kernel_times: KernelTimes | None = None
        self.notes: list[str] = [choice.note] if choice.note else []
        self.load_ms = load_ms
        self.output_names: tuple[str, ...] = tuple(o.name for o in raw.get_outputs())
        self._raw = raw
        self._profile = profile
        self._allow_fallback = allow_fallback
        self._is_run = False

    @property
    def provider(self) -> str:
        """The full name of the provider it runs on."""
        return self.choice.name

    def run(self, feed: Feed) -> dict[str, Array]:
        """Run one batch.

        Args:
            feed: An array for each input, batched on axis 0.

        Returns:
            An array for each output of the model.

        Raises:
            DataError: The batch does not fit the model.
            ProviderError: This was the first run, and the provider that was asked for ran nothing.
        """
        if not self._is_run:
            tell(f"running {self.model.name} for the first time", model=self.model.name)
        try:
            arrays: list[Array] = self._raw.run(None, feed)
        except Exception as error:  # ONNX Runtime's own errors share no base class
            failure = DataError(
                f"the model fails on a batch: {own_failure(self.model, feed, error)}",
                remedy="check the samples against the model's inputs",
            )
            raise blame(error, failure) from error
        self._is_run = True
        self._verify()
        return dict(zip(self.output_names, arrays, strict=True))

    def bind(self, feed: Feed) -> Callable[[], None]:
        """Put a batch where the provider reads it, for timing.

        Off the CPU, inputs are copied to the device once and outputs stay there (IO binding), so that a call
        of what is returned costs the model and not the copies.

        Args:
            feed: An array for each input.

        Returns:
            A function that runs the batch once and returns when the outputs are there.

        Raises:
            DataError: The batch does not fit the model.
            ProviderError: The provider that was asked for ran nothing.
        """
        self.run(feed)
        memory = DEVICE_MEMORY.get(self.provider)
        if memory is None:
            return lambda: self._raw.run(None, feed)
        return bind_to_memory(self._raw, feed, memory)

    def _verify(self) -> None:
        """After the last profiled run: close the profile, and check that the provider was used."""
        if not self._profile.is_complete():
            return
        events = self._profile.close(self._raw)
        self.node_times, self.kernel_times = parse_profile(events), kernel_times(events)
        requested = self.choice.asked or self.provider
        self.placement = place(requested, self.node_times, _assigned_nodes(self._raw, self.choice))
        if self.choice.asked is None:
            note = check_placement(self.choice, self.placement, allow_fallback=self._allow_fallback)
            self.notes += [note] if note else []


def open_session(
    model: ModelArtifact,
    provider: str = "cpu",
    *,
    threads: int = 0,
    allow_fallback: bool = False,
    provider_options: Mapping[str, str] | None = None,
    profile: bool = False,
    profiled_runs: int = 1,
    stop_spinning: bool = False,
    optimized_path: Path | None = None,
    verbose: bool = False,
) -> Session:
    """Open a model on an execution provider, and on no other than that and the CPU as last resort.

    Args:
        model: The model.
        provider: A short name (``cpu``, ``cuda``) or a full one, of a built-in or a plug-in provider.
        threads: Threads inside an operator; 0 leaves it to ONNX Runtime.
        allow_fallback: Whether the CPU may stand in; :attr:`Session.notes` then says so.
        provider_options: Options for the provider, in its own words.
        profile: Whether to profile the first run on the CPU too; any other provider always is.
        profiled_runs: How many runs to profile before the placement is checked.
        stop_spinning: Whether idle threads sleep as soon as a run ends. ONNX Runtime otherwise lets them spin
            for tens of milliseconds, at the cost of whatever else is being timed.
        optimized_path: Where ONNX Runtime writes its optimised graph, or None.
        verbose: Whether ONNX Runtime logs all that it does, to standard error.

    Raises:
        UsageError: No provider is called so, or the CPU was given options.
        ProviderError: It is not there, or does not start.
        ModelError: ONNX Runtime refuses the model.
    """
    ort = load_onnxruntime()
    choice = choose_provider(provider, current_offer(), allow_fallback=allow_fallback)
    if provider_options and choice.name == CPU and choice.note is None:
        raise UsageError("the CPU provider takes no options", remedy="leave the provider options away")
    check_domains(model.load())
    options = quiet_options(ort, threads)
    if verbose:
        options.log_severity_level = 0
    if choice.name != CPU:
        options.add_session_config_entry(_RECORD_ASSIGNMENT, "1")
    if stop_spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
        # weights beside the graph: the graph is then small, and 2 GB is no limit
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", f"{optimized_path.name}.data"
        )
    is_checked = profile or choice.name != CPU or choice.asked is not None
    profiling = _Profile(options, profiled_runs if is_checked else 0)
    tell(f"opening {model.name} on {choice.name}", model=model.name)
    with _default_log(ort, silent=not verbose):
        begin = time.perf_counter_ns()
        raw = _start(ort, model, choice, options, dict(provider_options or {}))
        load_ms = (time.perf_counter_ns() - begin) / 1e6
    note = check_started(
        choice,
        raw.get_providers(),
        allow_fallback=allow_fallback,
        find_reason=lambda: reason_not_started(log_of_opening(model, choice.name, provider_options)),
    )
    if note:
        choice = Choice(CPU, note=note, asked=choice.name)
    return Session(model, choice, threads, allow_fallback, raw, profiling, load_ms)


def bind_to_memory(raw: Any, feed: Feed, memory: str) -> Callable[[], None]:
    """Copy a batch to a device's memory and return a function that runs it there.

    Args:
        raw: The ONNX Runtime session.
        feed: An array for each input.
        memory: ONNX Runtime's name of the memory (``cuda``, ``cpu``).
    """
    ort = load_onnxruntime()
    binding = raw.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, memory, 0))
    for output in raw.get_outputs():
        binding.bind_output(output.name, memory)

    def run_once() -> None:
        raw.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run_once


class _Profile:
    """ONNX Runtime's profile of the first runs, in a temporary folder that goes when it has been read."""

    def __init__(self, options: Any, runs: int) -> None:
        self._runs_left = runs
        self._stack = ExitStack()  # closed at the latest when this object goes
        if runs:
            folder = self._stack.enter_context(temporary_folder())
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")

    def is_complete(self) -> bool:
        """Count a run; whether it was the last that is profiled."""
        self._runs_left -= 1
        return self._runs_left == 0

    def close(self, raw: Any) -> list[dict[str, Any]]:
        """End profiling, so that later runs are not slowed, and return the events."""
        with self._stack:
            events: list[dict[str, Any]] = json.loads(Path(raw.end_profiling()).read_text(encoding="utf8"))
        return events


@contextmanager
def _default_log(ort: Any, *, silent: bool) -> Iterator[None]:
    """Keep what is logged outside of sessions from standard error, where it is raised or noted anyway."""
    if silent:
        ort.set_default_logger_severity(4)
    try:
        yield
    finally:
        if silent:
            ort.set_default_logger_severity(2)  # what ONNX Runtime itself begins with


def _start(
    ort: Any, model: ModelArtifact, choice: Choice, options: Any, provider_options: dict[str, str]
) -> Any:
    """Make the session; Python-level retries on other providers are off."""
    keywords: dict[str, Any] = {"enable_fallback": 0}
    if choice.is_plugin:
        devices = [d for d in ort.get_ep_devices() if d.ep_name == choice.name]
        options.add_provider_for_devices(devices, provider_options)
    else:
        is_cpu = choice.name == CPU
        keywords["providers"] = [CPU] if is_cpu else [(choice.name, provider_options), CPU]
    try:
        return ort.InferenceSession(_source(model, options), options, **keywords)
    except Exception as error:  # ONNX Runtime's own errors share no base class
        if choice.name != CPU:
            raise ProviderError(
                f"{choice.name} cannot run this model: {error}",
                remedy=f"try --ep cpu; {driver_remedy(choice.name)}",
            ) from error
        refusal = ModelError(
            f"ONNX Runtime refuses the model: {error}", remedy="run `sardonyx inspect` on the model"
        )
        raise blame(error, refusal) from error


def _assigned_nodes(raw: Any, choice: Choice) -> dict[str, int] | None:
    """How many nodes each provider was given, where this ONNX Runtime tells and it was asked to."""
    if choice.name == CPU or not hasattr(raw, "get_provider_graph_assignment_info"):
        return None
    found: Counter[str] = Counter()
    for part in raw.get_provider_graph_assignment_info():
        found[part.ep_name] += len(part.get_nodes())
    return dict(found)


def _source(model: ModelArtifact, options: Any) -> bytes:
    """The model as it was checked; weights that lie beside it are mapped by ONNX Runtime itself, and not copied to it."""
    if model.path is None or not model.has_weights_beside:
        return model.content
    options.add_session_config_entry(_DATA_FOLDER, str(model.path.absolute().parent))
    return model.message
