"""Whether every piece of text in a message is text.

Protobuf hands a damaged piece out as bytes, or fails only when it is touched; nothing behind the door expects either.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class _Plan(NamedTuple):
    """The fields of one kind of message that hold text, and those that hold messages."""

    texts: tuple[str, ...]
    singles: tuple[str, ...]
    lists: tuple[str, ...]


def check_text(message: Any) -> None:
    """Touch every text field of a message and of the messages in it; iterative.

    Raises:
        UnicodeDecodeError: A piece of text is not UTF-8.
    """
    plans: dict[str, _Plan] = {}
    pending = [message]
    while pending:
        current = pending.pop()
        kind = current.DESCRIPTOR.full_name
        if kind not in plans:
            plans[kind] = _plan(current.DESCRIPTOR)
        plan = plans[kind]
        for name in plan.texts:
            _check(getattr(current, name))
        pending.extend(getattr(current, name) for name in plan.singles if current.HasField(name))
        for name in plan.lists:
            pending.extend(getattr(current, name))


def _check(value: Any) -> None:
    for text in (value,) if isinstance(value, (str, bytes)) else value:
        if isinstance(text, bytes):
            text.decode("utf8")


def _plan(descriptor: Any) -> _Plan:
    texts = [f.name for f in descriptor.fields if f.type == f.TYPE_STRING]
    messages = [f for f in descriptor.fields if f.type == f.TYPE_MESSAGE]
    lists = tuple(f.name for f in messages if _is_repeated(f))
    return _Plan(tuple(texts), tuple(f.name for f in messages if f.name not in lists), lists)


def _is_repeated(field: Any) -> bool:
    """Newer protobuf has a property for it, older a label."""
    known = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if known is None else known)
