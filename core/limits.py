"""How much an input may ask for before it is refused: every figure of it in one place, each settable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .errors import LimitError

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What is admitted; anything above is a :class:`~sardonyx.core.errors.LimitError`.

    Attributes:
        file_bytes: Size of the model file itself (one protobuf message holds 2 GiB).
        external_bytes: Size of all external data that the tensors name, counted once for each tensor.
        embed_bytes: Size of a model as one message, weights embedded.
        beside_bytes: Weights of more bytes are no part of the message: they are mapped from the disk when they are read,
            and written to a file beside the model, which runtimes map too.
        dense_bytes: Size of all sparse tensors once they are made dense.
        tensor_elements: Elements that one tensor, input or output may declare.
        nodes: Nodes with every subgraph, and with every function call replaced by the function's nodes.
        function_depth: Functions that call one another, counted along the longest chain.
        inferred_dims: Dimensions that shape inference may write down, over all values, in this process.
        inferred_elements: Elements of one tensor of sizes that it may compute in this process.
        inference_bytes: Memory of the child process that infers shapes above those two bounds.
        inference_s: Its time, in seconds.
        coupled_indices: Indices along all axes of all values, among which the neurons that go together are searched.
        array_bytes: What samples may take in memory, as they declare it or as they come.
        array_header_bytes: Header of one array in an ``.npz`` file.
        dataset_bytes: One file of a data set by name, as it declares its size.
        image_pixels: Pixels of one image that is decoded.
        statistics_bytes: Statistics of an earlier calibration, and answers of a teacher, that are kept on disk.
        document_bytes: A report, a plan, a document of ``bench``.
        recipe_bytes: A recipe.
        labels_bytes: A list of class names.
        manifest_bytes: The manifest of a bundle.
        bundle_files: Files of a bundle.
        self_test_bytes: Samples and expected outputs of a bundle.
    """

    file_bytes: int = 2 * GIB
    external_bytes: int = 64 * GIB
    embed_bytes: int = 2 * GIB - (64 << 20)
    beside_bytes: int = 512 << 20
    dense_bytes: int = 1 * GIB
    tensor_elements: int = 1 << 34
    nodes: int = 200_000
    function_depth: int = 64
    inferred_dims: int = 5_000_000
    inferred_elements: int = 100_000
    inference_bytes: int = 2 * GIB
    inference_s: float = 8.0
    coupled_indices: int = 1 << 26
    array_bytes: int = 8 * GIB
    array_header_bytes: int = 4096
    dataset_bytes: int = 1 * GIB
    image_pixels: int = 50_000_000
    statistics_bytes: int = 1 * GIB
    document_bytes: int = 64 << 20
    recipe_bytes: int = 1 << 20
    labels_bytes: int = 16 << 20
    manifest_bytes: int = 16 << 20
    bundle_files: int = 10_000
    self_test_bytes: int = 1 * GIB

    @property
    def message_bytes(self) -> int:
        """The most weights that are held in the message of a model."""
        return min(self.beside_bytes, self.embed_bytes)


_CURRENT: ContextVar[Limits] = ContextVar("sardonyx_limits", default=Limits())  # noqa: B039 - it is frozen


def current_limits() -> Limits:
    """The limits that hold where a caller states none."""
    return _CURRENT.get()


@contextmanager
def use_limits(limits: Limits) -> Iterator[None]:
    """Let other limits hold within the block.

    Args:
        limits: The limits.
    """
    token = _CURRENT.set(limits)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def refuse_above(count: int, limit: int, what: str, name: str) -> None:
    """Refuse a count that exceeds its limit.

    Args:
        count: What was counted.
        limit: The most that is admitted.
        what: What was counted, in words, for the message.
        name: The field of :class:`Limits` that states the limit.

    Raises:
        LimitError: The count is above the limit.
    """
    if count > limit:
        raise LimitError(
            f"{what}: {_short(count)}, the limit is {_short(limit)}",
            remedy=raise_limit(name),
        )


def raise_limit(name: str) -> str:
    """The remedy for what a limit refused: the limit's name, for the command line and for Python."""
    return f"if it is trusted, raise it with --admit {name}=NUMBER (Limits.{name} in Python)"


def _short(count: int) -> str:
    """A number that may have thousands of digits, in a few characters."""
    return f"{count:,}" if count < 10**18 else f"more than 2^{count.bit_length() - 1}"
