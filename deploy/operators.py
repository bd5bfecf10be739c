"""The operators and types that a file in ORT format needs, and the configuration of a reduced build that holds them.

A configuration has one line for each operator set, ``ai.onnx;13;Gemm,Cast{"inputs": {"0": ["float"]}}``; a line that
starts with # is a comment. Operators are listed under the opset in which they were last changed, or a later one in
which they are still the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import onnx

from ..core.errors import ExpectationError, InputError, UsageError
from ..core.files import temporary_folder
from ..core.tensors import Feed
from .config_lines import parse_line, type_list
from .cpu_runs import one_thread, open_session, run_batch
from .ort_file import Operator, read_ort_file

Accepted: TypeAlias = Mapping[str, Mapping[str, tuple[str, ...]]]
"""For an operator, as ``ai.onnx:Cast``: the types of each input and output that its kernel has to take."""


@dataclass(frozen=True)
class OperatorSet:
    """Operators, and the types that their kernels have to take.

    Attributes:
        required: Names by operator set, as ``ai.onnx;13``.
        types: Element types. Of a file: all that its nodes read or make; of a configuration: those it names.
        accepted: Types by operator and place, as ``ai.onnx:Cast`` and ``inputs 0``; an operator that is not here
            takes all its types.
    """

    required: Mapping[str, tuple[str, ...]]
    types: tuple[str, ...]
    accepted: Accepted = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> frozenset[str]:
        """Names of all operators, whatever their operator set."""
        return frozenset(name for names in self.required.values() for name in names)


def read_config(path: str | Path) -> OperatorSet:
    """Read the configuration of a reduced build.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, or a line is malformed; the line's number is named.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read: {error}", remedy="make the configuration again"
        ) from error
    required: dict[str, set[str]] = {}
    accepted: dict[str, Mapping[str, tuple[str, ...]]] = {}
    for number, line in enumerate(lines, 1):
        try:
            if (entry := parse_line(line)) is None:
                continue
            for key, kept in entry.accepted.items():
                if accepted.setdefault(key, kept) != kept:
                    # ONNX Runtime keeps the last list alone, and the kernels of the others are then missing.
                    raise ValueError(f"{key} has other types here than in an earlier line")
        except ValueError as error:
            raise InputError(
                f"{path.name}, line {number}: {error}", remedy="make the configuration again from the model"
            ) from error
        for key in entry.keys:
            required.setdefault(key, set()).update(entry.names)
    return OperatorSet(_sorted(required), _types_in(accepted), accepted)


def operators_of(ort_file: Path) -> OperatorSet:
    """The operators of a file in ORT format, and of the runtime optimisations saved in it.

    Args:
        ort_file: The file.

    Raises:
        ModelError: It is not in ORT format, or is damaged.
        MissingExtraError: ONNX Runtime is not installed.
    """
    contents = read_ort_file(ort_file)
    required: dict[str, set[str]] = {}
    for operator in contents.nodes | contents.replayed:
        required.setdefault(f"{operator.domain};{operator.version}", set()).add(operator.name)
    accepted = {key: type_list(json.loads(text)) for key, text in sorted(contents.type_lists.items())}
    return OperatorSet(_sorted(required), tuple(sorted(contents.types)), accepted)


def missing_operators(needed: OperatorSet, config: OperatorSet) -> tuple[str, ...]:
    """What a configuration lacks, in words: ``ai.onnx;11;Conv``, ``ai.onnx:Cast, inputs 0: int64``."""
    lacking = [str_of(o) for o in _operators(needed) if not _is_offered(o, config)]
    for key, places in needed.accepted.items():
        offered = config.accepted.get(key)
        for place, types in places.items() if offered is not None else ():
            lacking += [
                f"{key}, {place}: {kind}" for kind in types if kind not in (offered or {}).get(place, ())
            ]
    return tuple(lacking)


def check_operators(
    ort_file: Path, config: OperatorSet, feeds: Iterable[Feed], *, replay: bool = False
) -> tuple[str, ...]:
    """Prove that a configuration holds all that a file needs: what it states, what a session makes of it, what runs.

    Args:
        ort_file: The file in ORT format.
        config: The configuration.
        feeds: Batches to run, one or more.
        replay: Whether to apply the runtime optimisations saved in the file, which is for files of one's own: ONNX
            Runtime trusts what they say of the graph.

    Returns:
        What the configuration holds and nothing asked for, as ``ai.onnx;11;Conv``.

    Raises:
        ExpectationError: Something is missing; it is named.
        ModelError: The file is not in ORT format, or ONNX Runtime refuses it.
        DataError: The model fails on a batch.
        UsageError: There is no batch.
        MissingExtraError: ONNX Runtime is not installed.
    """
    stated = operators_of(ort_file)
    with temporary_folder() as folder:
        ran, held = _run(ort_file, feeds, folder, replay)
    lacking = dict.fromkeys((*missing_operators(stated, config), *missing_operators(held, config)))
    lacking |= dict.fromkeys(f"{name}, which ran" for name in sorted(ran - config.names))
    if lacking:
        raise ExpectationError(
            f"a runtime reduced to this configuration cannot run {ort_file.name}, it lacks {'; '.join(lacking)}",
            remedy="make the configuration again from this file",
        )
    used = {o for needed in (stated, held) for o in _operators(needed)}
    return tuple(str_of(o) for o in _operators(config) if not any(_is_same(u, o) for u in used))


def str_of(operator: Operator) -> str:
    """An operator as a configuration writes it: ``ai.onnx;11;Conv``."""
    return f"{operator.domain};{operator.version};{operator.name}"


def _operators(operators: OperatorSet) -> list[Operator]:
    found = []
    for key, names in operators.required.items():
        domain, version = key.split(";")
        found += [Operator(domain, int(version), name) for name in names]
    return found


def _is_offered(needed: Operator, config: OperatorSet) -> bool:
    return any(_is_same(needed, offered) for offered in _operators(config))


def _is_same(needed: Operator, offered: Operator) -> bool:
    """Whether the opset that is offered still has the operator as it is needed."""
    if (needed.domain, needed.name) != (offered.domain, offered.name):
        return False
    return needed.version == offered.version or needed.version == _last_changed(offered)


def _last_changed(operator: Operator) -> int:
    domain = "" if operator.domain == "ai.onnx" else operator.domain
    if not onnx.defs.has(operator.name, operator.version, domain):
        return operator.version
    return int(onnx.defs.get_schema(operator.name, operator.version, domain).since_version)


def _run(ort_file: Path, feeds: Iterable[Feed], folder: Path, replay: bool) -> tuple[set[str], OperatorSet]:
    """Run batches; names of the operators that ran, and those of the graph that the session ended up with."""
    options = one_thread()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / "held.ort")
    options.add_session_config_entry("session.load_model_format", "ORT")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.add_session_config_entry("session.enable_saved_runtime_optimizations", str(int(replay)))
    session = open_session(str(ort_file), options, ort_file.name, remedy="convert the model again")
    if not [run_batch(session, None, feed) for feed in feeds]:
        raise UsageError("no batch to run", remedy="give one batch or more")
    events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf8"))
    names = {e["args"]["op_name"] for e in events if "op_name" in e.get("args", {})}
    return names, operators_of(folder / "held.ort")


def _sorted(required: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    keys = sorted(required, key=lambda key: (key.split(";")[0], int(key.split(";")[1])))
    return {key: tuple(sorted(required[key])) for key in keys}


def _types_in(accepted: Accepted) -> tuple[str, ...]:
    """The element types that type lists name; those of a OneHot are triples."""
    lists = [types for places in accepted.values() for types in places.values()]
    return tuple(sorted({kind for types in lists for entry in types for kind in entry.split(",")}))
