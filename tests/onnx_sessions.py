"""ONNX Runtime on the CPU without optimisations: values of every element type in, and out as they lie in memory.

numpy knows neither bfloat16 nor four bits; tensors of these are handed over as bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

_SEED = 7
_PACKED_BITS = 8


class NotRunnableError(Exception):
    """ONNX Runtime does not take the model or fails on the values.

    Attributes:
        kind: Why, in a few words.
    """

    def __init__(self, error: BaseException) -> None:
        text = " ".join(str(error).split())
        super().__init__(text)
        self.kind = _kind(text)


_KINDS = {
    "Could not find an implementation for ": "no kernel",
    "Failed to find kernel for ": "no kernel",
    "is not a registered function/op": "operator not known",
    "ONNX Runtime only *guarantees* support for models stamped": "opset too new",
    "en_US": "locale not installed",
    "Batchwise recurrent operations": "option not implemented",
}


def _kind(text: str) -> str:
    for part, kind in _KINDS.items():
        if part in text:
            rest = text.partition(part)[2] if kind == "no kernel" else ""
            return f"{kind} {rest.partition('(')[0]}".strip()
    return text[:160]


@dataclass(frozen=True)
class Held:
    """A tensor as it lies in memory.

    Attributes:
        dtype: Its element type.
        shape: Its sizes.
        content: Its bytes; the strings themselves where it holds strings.
    """

    dtype: ir.DataType
    shape: tuple[int, ...]
    content: bytes | tuple[str, ...]

    @classmethod
    def of(cls, value: Any, dtype: ir.DataType | None = None) -> Held:
        """Take an array, a scalar or a message; ``dtype`` where numpy's own type does not say it."""
        if isinstance(value, onnx.TensorProto):
            tensor = ir.from_proto(value)
            if tensor.dtype != ir.DataType.STRING:
                return cls(tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes())
            value = tensor.numpy()
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            words = tuple(w.decode() if isinstance(w, bytes) else str(w) for w in array.ravel().tolist())
            return cls(ir.DataType.STRING, array.shape, words)
        kind = dtype or ir.DataType.from_numpy(array.dtype)
        return cls(kind, array.shape, ir.Tensor(array, dtype=kind).tobytes())

    def numpy(self) -> np.ndarray:
        """As an array of numpy or ml_dtypes."""
        if isinstance(self.content, tuple):
            return np.array(self.content, dtype=object).reshape(self.shape)
        if self.dtype.bitwidth < _PACKED_BITS:
            made = onnx.TensorProto(dims=self.shape, data_type=self.dtype, raw_data=self.content)
            return ir.from_proto(made).numpy()
        return np.frombuffer(self.content, self.dtype.numpy()).reshape(self.shape)


Output = Any
"""A Held, a list of such, or None."""


class Session:
    """A model in ONNX Runtime.

    Args:
        message: The model, serialized.

    Raises:
        NotRunnableError: ONNX Runtime refuses it.
    """

    def __init__(self, message: bytes) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        ort.set_seed(_SEED)
        try:
            self.session = ort.InferenceSession(message, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise NotRunnableError(error) from error
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.is_lendable = all(v.type.startswith("tensor(") for v in (*inputs, *outputs)) and all(
            v.type != "tensor(string)" for v in inputs
        )

    def run(self, feed: Mapping[str, Any]) -> list[Output]:
        """The outputs for one feed of Held, of arrays, or of lists of arrays.

        Raises:
            NotRunnableError: ONNX Runtime fails.
        """
        try:
            if self.is_lendable:
                values = {name: _lent(value) for name, value in feed.items()}
                return [_read(value) for value in self.session.run_with_ort_values(None, values)]
            plain = {name: _plain(value) for name, value in feed.items()}
            return [_held(value) for value in self.session.run(None, plain)]
        except Exception as error:
            raise NotRunnableError(error) from error


def _lent(value: Held) -> ort.OrtValue:
    made = ort.OrtValue.ortvalue_from_shape_and_type(value.shape, int(value.dtype))
    ctypes.memmove(made.data_ptr(), value.content, len(value.content))
    return made


def _read(value: ort.OrtValue) -> Held:
    dtype = ir.DataType(value.element_type())
    if dtype == ir.DataType.STRING:
        return Held.of(value.numpy())
    return Held(dtype, tuple(value.shape()), ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.numpy() if isinstance(value, Held) else value


def _held(value: Any) -> Output:
    if isinstance(value, list):
        return [_held(item) for item in value]
    return None if value is None else Held.of(value)
