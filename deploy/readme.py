"""The README of a bundle. Whatever comes from a model or a user stands in code, where nothing is interpreted.

Backticks and bars, which could end a code span or a table's cell, are replaced by signs that look like them; controls and
marks of direction are gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..core.safe_text import clean
from .manifest import Manifest
from .manifest_parts import MANIFEST, Measured, ModelEntry, TensorEntry, UsabilityEntry
from .platforms import Platform

_LONGEST = 80
_LONG = 1000
_ROWS = 40
_LOOKALIKES = str.maketrans({"`": "ˋ", "|": "¦"})
_COMMANDS: Mapping[str, str] = {
    "python": "pip install numpy onnxruntime\npython client/python/client.py",
    "cpp": (
        "cmake -S client/cpp -B ../build -DONNXRUNTIME_ROOT=/path/to/onnxruntime\n"
        "cmake --build ../build && ../build/client ."
    ),
    "web": "python -m http.server  # and open http://localhost:8000",
    "node": "cd client/node && npm install && node client.mjs",
}
"""What runs the self-test of a client, from the folder of the bundle."""

_CHECKED = (
    "checks every file against its hash, loads the models and runs them on the samples in `self_test/`. Build in a copy "
    "of this folder: a file that was added is found too. The client code runs the same self-test:"
)

_IN_APPS: Mapping[str, str] = {"kotlin": "Kotlin", "swift": "Swift"}
"""Clients that are built into an app; the first lines of their files say how."""

_ROLES: Mapping[str, str] = {
    "model": "the model",
    "ort": "the model in ORT format, for a runtime that reads no other",
    "reference": "what the model was made from",
}


def render_readme(manifest: Manifest, platform: Platform, labels: Sequence[str] = ()) -> str:
    """Write the README of a bundle.

    Args:
        manifest: The manifest, whose files need not be complete yet.
        platform: What the bundle is for.
        labels: Names of the classes.

    Returns:
        Markdown that ends with a line break.
    """
    parts = (
        f"# {code(manifest.name)} for {platform.title}",
        _made(manifest, platform),
        _models(manifest),
        _check(platform),
        _tensors("Inputs", manifest.inputs),
        _preprocessing(manifest),
        _tensors("Outputs", manifest.outputs),
        _labels(labels),
        _self_test(manifest),
        _measured(manifest.measured),
        _usability(manifest.usability),
        _provenance(manifest),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def code(text: str, longest: int = _LONGEST) -> str:
    """A name as a code span; nothing in it is Markdown, HTML, a link or a mention.

    Args:
        text: The name, which may be anything.
        longest: Characters of it that are shown.
    """
    shown = clean(text, longest).translate(_LOOKALIKES)
    # A span of blanks is none; the two blanks at the ends of a span are not part of it.
    return f"` {shown} `" if shown.strip() != shown else f"`{shown}`" if shown else "–"


def _made(manifest: Manifest, platform: Platform) -> str:
    version = f"{platform.runtime_version}, which is in `runtime/`"
    if "web" not in platform.clients:
        version = f"{platform.runtime_version} or newer"
    return (
        f"For `{platform.runtime}` {version}; made by Sardonyx {manifest.created_with.sardonyx}. "
        f"`{MANIFEST}` describes everything here for programs."
    )


def _models(manifest: Manifest) -> str:
    rows = [(code(m.file), f"{m.bytes:,}", f"{m.gzip_bytes:,}", _role(m)) for m in manifest.models]
    return _table(("file", "bytes", "bytes as gzip", "what it is"), rows)


def _role(entry: ModelEntry) -> str:
    opset = entry.opset.get("", 0)
    return f"{_ROLES[entry.role]} (opset {opset}, IR {entry.ir_version})"


def _check(platform: Platform) -> str:
    """How to check the bundle, here and on the device."""
    parts = [
        "## Check it",
        "```sh\nsardonyx verify .\n```",
        _CHECKED,
    ]
    parts += [f"```sh\n{_COMMANDS[name]}\n```" for name in platform.clients if name in _COMMANDS]
    parts += [
        f"{_IN_APPS[name]} code for an app is in `client/{name}/`; its first lines say how to use it."
        for name in platform.clients
        if name in _IN_APPS
    ]
    return "\n\n".join(parts)


def _tensors(title: str, entries: Sequence[TensorEntry]) -> str:
    rows = [
        (
            code(e.name),
            e.type,
            _shape(e),
            f"{e.low:.4g} to {e.high:.4g}",
            code(e.meaning) if e.meaning else "",
        )
        for e in entries[:_ROWS]
    ]
    more = f"\n\n{len(entries) - _ROWS} more are in `{MANIFEST}`." if len(entries) > _ROWS else ""
    return f"## {title}\n\n{_table(('name', 'type', 'shape', 'seen', 'meaning'), rows)}{more}"


def _shape(entry: TensorEntry) -> str:
    return " × ".join("any" if d is None else str(d) if isinstance(d, int) else code(d) for d in entry.shape)


def _preprocessing(manifest: Manifest) -> str:
    found = manifest.preprocessing
    return f"From a picture to the input:{code_block(found.text)}" if found else ""


def code_block(text: str) -> str:
    """A sentence as a fenced block."""
    return f"\n\n```text\n{clean(text, _LONG).translate(_LOOKALIKES)}\n```"


def _labels(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    shown = ", ".join(code(label) for label in labels[:_ROWS])
    more = f" and {len(labels) - _ROWS} more" if len(labels) > _ROWS else ""
    return f"The {len(labels)} classes, in the order of the scores (`labels.txt`): {shown}{more}."


def _self_test(manifest: Manifest) -> str:
    test = manifest.self_test
    text = (
        f"{test.samples} samples, {test.batch} in a run. A value passes where it is off by no more than "
        f"{test.tolerance.absolute:.3g} + {test.tolerance.relative:.3g} of what is expected; integers are equal."
    )
    if test.labels_agree < 1:
        text += (
            f" Up to {1 - test.labels_agree:.0%} of the samples may be further off where the largest score is in the "
            "same place: integer kernels of other processors round otherwise."
        )
    return f"## Self-test\n\n{text}"


def _measured(found: Measured | None) -> str:
    if found is None:
        return ""
    lines = []
    if found.metric is not None and found.value is not None:
        ends = "" if found.low is None else f" ({found.low:.4g} to {found.high:.4g})"
        drop = "" if found.drop is None else f"; {_against(found.drop)}"
        lines.append(f"- {code(found.metric)}: {found.value:.4g}{ends} on {found.samples} samples{drop}")
    if found.latency_ms is not None:
        lines.append(
            f"- one run of {found.batch}: {found.latency_ms:.3g} ms ({found.latency_low_ms:.3g} to "
            f"{found.latency_high_ms:.3g}) on {found.provider}, {code(found.machine)}"
        )
    return "\n".join(["## Measured where it was made, not on a device", "", *lines])


def _against(drop: float) -> str:
    if not drop:
        return "as good as the reference"
    return f"{abs(drop):.4g} {'worse' if drop > 0 else 'better'} than the reference"


def _usability(found: Sequence[UsabilityEntry]) -> str:
    if not found:
        return ""
    rows = [(u.provider, f"{u.taken} of {u.nodes}", str(u.partitions), _reasons(u)) for u in found]
    return f"## Providers of the device\n\n{_table(('provider', 'nodes taken', 'pieces', 'left to the CPU'), rows)}"


def _reasons(entry: UsabilityEntry) -> str:
    tally = Counter((left.op, left.reason) for left in entry.left).most_common(4)
    shown = "; ".join(f"{number} {code(op)}: {code(reason, 200)}" for (op, reason), number in tally)
    rest = len(entry.left) - sum(number for _, number in tally)
    return f"{shown}; {rest} more" if rest else shown


def _provenance(manifest: Manifest) -> str:
    licence = code(manifest.licence) if manifest.licence else "not stated"
    lines = [
        f"- Licence of the model: {licence}",
        f"- Packaged from the model with SHA-256 `{manifest.provenance.source_sha256}`",
    ]
    if manifest.provenance.command:
        lines.append(f"- By:{code_block(manifest.provenance.command)}")
    return "\n".join(["## Provenance", "", *lines])


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(titles), ["---"] * len(titles), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
