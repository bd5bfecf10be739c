"""Small models as text, and files of them."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

HEAD = '<ir_version: 9, opset_import: ["" : 18, "d" : 1, "com.microsoft" : 1]>\n'
ADD = "g (float[4] x) => (float[4] y) <float[4] w = {0, 1, 2, 3}> { y = Add(x, w) }"


def parse_model(text: str = ADD, head: str = HEAD) -> onnx.ModelProto:
    """Parse a model from text; without text, one Add of an input and a weight."""
    return onnx.parser.parse_model(head + text)


def write_model(path: Path, content: str | bytes | onnx.ModelProto = ADD) -> Path:
    """Write a model, given as text, message or bytes, and return its path."""
    made = parse_model(content) if isinstance(content, str) else content
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path
