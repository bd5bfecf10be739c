"""What a runtime's failure means: it ran out of memory, or the model or its samples are at fault."""

from __future__ import annotations

from .errors import LimitError, SardonyxError

_OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "MemoryError", "out of memory")


def is_out_of_memory(error: Exception) -> bool:
    """Whether a runtime failed for want of memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def blame(error: Exception, otherwise: SardonyxError) -> SardonyxError:
    """The error to raise for one that a runtime raised: its own share no class, so that the words must tell.

    Args:
        error: What the runtime raised.
        otherwise: The error where memory is not the reason.
    """
    if is_out_of_memory(error):
        return LimitError(
            f"memory ran out: {otherwise.cause}",
            remedy="use a smaller batch, or allow more memory if the model is trusted",
        )
    return otherwise
