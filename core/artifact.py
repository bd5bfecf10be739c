"""A model that passed every check: the one door through which models come in, and go out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from .detach import attach, detached_proto, embedded, raw_bytes
from .door import admit
from .errors import LimitError, ModelError
from .external_data import DataFolder
from .files import check_output, write_atomic
from .inference import SMALL_ELEMENTS
from .large_files import remove_data, write_with_data
from .limits import Limits, current_limits
from .model_file import parse_model, read_model_file, refuse_corrupt
from .tensors import TensorSpec, input_specs, output_specs


@dataclass(frozen=True)
class ModelArtifact:
    """A model that passed every trust check, unchanged for as long as it lives.

    Attributes:
        path: The file it came from; None for a model made in memory.
        name: What to call it: the file's name, or the graph's.
        sha256: Of :attr:`content`, in hexadecimal; of a file that needed no repair and has no external data
            this is what ``sha256sum`` prints. With weights beside the message, of message and weights.
        size_bytes: Size of the files, external data included, or of the message for a model in memory.
        inputs: What must be fed.
        outputs: What comes out.
        notes: What was repaired on the way in, and what will need care.
    """

    path: Path | None
    name: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    notes: tuple[str, ...]
    _message: bytes = field(repr=False)
    _weights: Mapping[str, ir.TensorProtocol] = field(repr=False, compare=False)
    _limits: Limits = field(repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path, limits: Limits | None = None) -> ModelArtifact:
        """Open a model file, whoever wrote it.

        No code in the file is run, nothing outside its folder is read, and nothing is written.

        Args:
            path: The file; external data must lie in its folder.
            limits: What is too much; what currently holds where None, by default models of 64 GiB.

        Raises:
            ModelError: The file cannot be accepted; the cause says why.
            LimitError: It asks for more than a limit admits.
        """
        path, limits = Path(path), limits or current_limits()
        content = read_model_file(path, limits)
        model = parse_model(content, path.name)
        data = DataFolder(path.absolute().parent)
        made = _admitted(model, data, limits, content, path.name, {})
        return replace(made, path=path, name=path.name, size_bytes=len(content) + sum(data.files().values()))

    @classmethod
    def of(cls, model: ir.Model, limits: Limits | None = None) -> ModelArtifact:
        """Take a graph in memory through the same checks; its contents are copied, or kept by reference.

        Args:
            model: The graph; left as it is.
            limits: What is too much.

        Raises:
            ModelError: The graph cannot be accepted.
            LimitError: It asks for more than a limit admits.
        """
        limits = limits or current_limits()
        tensors = (v.const_value for v in model.graph.initializers.values())
        is_large = sum(t.nbytes for t in tensors if t is not None) > limits.message_bytes
        try:
            proto, kept = detached_proto(model, SMALL_ELEMENTS) if is_large else (ir.to_proto(model), {})
        except (ir.serde.SerdeError, TypeError, ValueError) as error:
            raise ModelError(
                f"the graph cannot be written: {error}", remedy="check the graph's values"
            ) from error
        return _admitted(proto, DataFolder(None), limits, None, model.graph.name or "model", kept)

    @property
    def has_weights_beside(self) -> bool:
        """Whether its weights are too large to be held in the message and copied with it."""
        return bool(self._weights)

    @property
    def message(self) -> bytes:
        """The model as one message, without the weights beside it: these are external data in it."""
        return self._message

    @property
    def content(self) -> bytes:
        """The model as one message, weights embedded.

        Raises:
            LimitError: The weights are too large for one message; use the file.
        """
        if not self._weights:
            return self._message
        if len(self._message) + sum(t.nbytes for t in self._weights.values()) > self._limits.embed_bytes:
            raise LimitError(
                f"the weights of {self.name} are too large for one protobuf message",
                remedy="use the model's file",
            )
        return embedded(self._message, self._weights)

    def load(self) -> ir.Model:
        """A fresh graph in memory; changing it changes nothing here. Functions are kept as they are."""
        model = _graph_of(self._message)
        attach(model, self._weights)
        return model

    def save(self, path: str | Path, force: bool = False) -> ModelArtifact:
        """Write the model so that the complete old file or the complete new one exists, and open it again.

        Weights beside the message are written to a file beside the model first.

        Args:
            path: The file to write; its folder exists.
            force: Whether an existing file may be replaced.

        Returns:
            The model as it was written.

        Raises:
            UsageError: The file exists and ``force`` is false.
            StorageError: The disk is full or the folder cannot be written; an existing file is unchanged.
        """
        path = Path(path)
        check_output(path, force=force)
        if self._weights:
            write_with_data(path, self._message, self._weights)
        else:
            write_atomic(path, self._message)
            remove_data(path)
        return ModelArtifact.open(path, self._limits)


def _admitted(
    model: onnx.ModelProto,
    data: DataFolder,
    limits: Limits,
    content: bytes | None,
    name: str,
    kept: Mapping[str, ir.TensorProtocol],
) -> ModelArtifact:
    """Run every check, then freeze what passed."""
    try:
        passed = admit(model, data, limits, frozenset(kept))
        if content is None or passed.is_changed:
            content = model.SerializeToString(deterministic=True)
        graph = _graph_of(content)
    except (DecodeError, UnicodeDecodeError) as error:
        refuse_corrupt(name, model.ByteSize(), error)
    weights = {**kept, **passed.weights}
    return ModelArtifact(
        path=None,
        name=name,
        sha256=_digest(content, weights),
        size_bytes=len(content) + sum(t.nbytes for t in weights.values()),
        inputs=input_specs(graph),
        outputs=output_specs(graph),
        notes=passed.notes,
        _message=content,
        _weights=weights,
        _limits=limits,
    )


def _graph_of(message: bytes) -> ir.Model:
    try:
        graph: ir.Model = ir.from_proto(onnx.ModelProto.FromString(message))
    except (ir.serde.SerdeError, NotImplementedError, TypeError, ValueError) as error:
        cause = error.__cause__ or error
        raise ModelError(
            f"the model cannot be read into a graph: {cause}", remedy="export the model again"
        ) from error
    return graph


def _digest(message: bytes, weights: Mapping[str, ir.TensorProtocol]) -> str:
    digest = hashlib.sha256(message)
    for name in sorted(weights):
        digest.update(raw_bytes(weights[name]))
    return digest.hexdigest()
