"""How much a model may ask for before it is refused, every figure of it settable."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LimitError

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What the door admits; anything above is a :class:`~sardonyx.core.errors.LimitError`.

    Attributes:
        file_bytes: Size of the model file itself (one protobuf message holds 2 GiB).
        external_bytes: Size of all external data that the tensors name, counted once for each tensor.
        embed_bytes: Weights up to this size are taken into memory; above it they stay on disk, mapped.
        dense_bytes: Size of all sparse tensors once they are made dense.
        tensor_elements: Elements that one tensor, input or output may declare.
        nodes: Nodes with every subgraph, and with every function call replaced by the function's nodes.
        function_depth: Functions that call one another, counted along the longest chain.
        inferred_dims: Dimensions that shape inference may write down, over all values, in this process.
        inferred_elements: Elements of one tensor of sizes that it may compute in this process.
        inference_bytes: Memory of the child process that infers shapes above those two bounds.
        inference_s: Its time, in seconds.
    """

    file_bytes: int = 2 * GIB
    external_bytes: int = 64 * GIB
    embed_bytes: int = 2 * GIB - (64 << 20)
    dense_bytes: int = 1 * GIB
    tensor_elements: int = 1 << 34
    nodes: int = 200_000
    function_depth: int = 64
    inferred_dims: int = 5_000_000
    inferred_elements: int = 100_000
    inference_bytes: int = 2 * GIB
    inference_s: float = 8.0


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
            remedy=f"if the model is trusted, raise Limits.{name}",
        )


def _short(count: int) -> str:
    """A number that may have thousands of digits, in a few characters."""
    return f"{count:,}" if count < 10**18 else f"more than 2^{count.bit_length() - 1}"
