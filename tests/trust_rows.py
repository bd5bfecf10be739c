"""The 74 bad inputs and faults that are tried, what happens at each, and the table of them in the documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_BEGIN, _END = "<!-- rows: made by `make trust` -->", "<!-- end of rows -->"


@dataclass(frozen=True)
class Row:
    """A kind of bad input, or a fault.

    Attributes:
        tried: The input or fault.
        expected: What happens.
        struck: Why it does not apply; empty where it does.
    """

    tried: str
    expected: str
    struck: str = ""


ROWS: dict[int, Row] = dict(
    enumerate(
        (
            Row("an empty file", "refused: an empty model"),
            Row("a model cut off at half", "refused: corrupt, with its size"),
            Row("4 kB of noise", "refused: corrupt"),
            Row("HTML, text, zip, a checkpoint named .onnx", "refused, with what it looks like"),
            Row("a flipped bit in a name", "refused: corrupt"),
            Row("a folder, named pipe, device or socket", "refused before it is opened"),
            Row("external data in `../x`", "refused, the path escaped"),
            Row("external data at an absolute path", "refused"),
            Row("external data in `a/../../x`", "refused"),
            Row("external data through a link", "refused"),
            Row("external data through a linked folder", "refused"),
            Row("external data with a second name (hard link)", "refused; the hint is to copy it"),
            Row("external data that is a named pipe", "refused"),
            Row("external data too short, offset or length not valid", "refused, with the tensor"),
            Row("an unknown key, a checksum", "refused; the checksum is verified"),
            Row("external data missing or unreadable", "refused, with name and folder"),
            Row("external data swapped between check and read", "what was checked is what is read"),
            Row("dimensions whose product overflows", "refused"),
            Row("a negative dimension of a weight", "refused"),
            Row("fewer or more bytes than a tensor's shape", "refused"),
            Row("an unknown element type", "refused"),
            Row("a ConstantOfShape of 256 GiB", "not folded; a run is refused by its memory limit"),
            Row("an input of 2^60 elements", "refused by the limit of elements"),
            Row("a dimension of size zero", "accepted, or nothing to measure"),
            Row("weights that are NaN or infinite", "prune and quantize refuse, with the weight"),
            Row("a cycle", "refused, with a cycle"),
            Row("nodes out of order", "accepted and noted"),
            Row("an output written twice", "refused"),
            Row("two nodes of one name", "accepted, renamed and noted"),
            Row("two weights of one name", "refused"),
            Row("an input that nothing writes", "refused"),
            Row("an unknown operator", "refused"),
            Row("an operator of an unknown domain", "inspect shows it, prune leaves it, a run is refused"),
            Row("a library of custom operators", "there is no way to load one"),
            Row("opset or IR version unknown or missing", "refused, with the range"),
            Row("an output that nothing writes", "refused"),
            Row("a wrong declared shape", "refused"),
            Row("types that do not fit", "refused"),
            Row("a function that calls itself", "refused"),
            Row("functions that expand to 2^21 nodes", "refused by their count, at once"),
            Row("a chain of 20,000 nodes", "accepted by every pass"),
            Row("If nested 30 deep", "accepted"),
            Row("an infinite Loop", "the run is stopped, with what was known until then"),
            Row("sparse weights, training info", "made dense, or refused; never dropped"),
            Row("names that are HTML, script or templates", "shown as text everywhere"),
            Row("names with NUL, escapes, RTL marks, newlines, of 1 MB", "escaped, and cut in tables"),
            Row("a weight named like a path", "no file is named after it"),
            Row(
                "indices out of range, Conv without stride, group or sane padding", "an error, with the node"
            ),
            Row("scales of zero, infinity, NaN or below zero", "refused on reading, never written"),
            Row("a quantized model to quantize", "refused; the hint is --force"),
            Row("free dimensions without or with repeated names", "accepted"),
            Row("samples: none, wrong name, type or shape, one too many", "refused before the first run"),
            Row("samples: NaN or infinity in one batch", "refused, with batch and input"),
            Row("samples: constant or all zero", "accepted; the scale is above zero"),
            Row(
                "samples: one batch, a ragged one, one object twice, an exhausted iterator",
                "right, or refused",
            ),
            Row("an .npz bomb, a header of 1 EiB, objects", "refused before it is read"),
            Row("images: bomb, cut off, 16 bit, CMYK, rotated, 1x1", "right, or refused with the name"),
            Row("a checkpoint with code, a whole module, TorchScript", "refused, no code is run"),
            Row("YAML with tags, aliases or double keys", "", struck="no YAML is read; recipes are TOML"),
            Row("a recipe with a wrong key, type, number or seed", "refused, with the place"),
            Row("a cut that would empty a layer or does not divide", "clamped and said, or refused"),
            Row("a full disk, at every write", "what existed stays, nothing is left behind"),
            Row("SIGKILL at every step", "--resume gives the same files"),
            Row("SIGINT, SIGTERM", "130, 143; nothing is left behind, children end"),
            Row("two runs in one folder", "the second is refused, with the process; a stale lock is broken"),
            Row("output that is the input, exists, or cannot be written", "refused before the work"),
            Row("file names: spaces, unicode, `-`, 255 bytes, newline", "accepted"),
            Row("CUDA asked for and absent or falling back", "refused, unless --allow-fallback"),
            Row("a missing package", "refused, with the command that installs it"),
            Row("steps of the clock, throttling, load while timing", "warned; no number without an interval"),
            Row("NaN, constant or empty outputs in a comparison", "said so"),
            Row("locale, LANG=C, no HOME, no terminal, narrow", "the same JSON, no crash"),
            Row("another hash seed, threads, folder, path", "the same models"),
            Row("weights of more than 2 GiB", "accepted, in bounded memory"),
        ),
        start=1,
    )
)


def fill_table(page: str, outcomes: Mapping[int, Sequence[str]]) -> str:
    """Put the table of what became of each row into a page, between its marks."""
    head, _, rest = page.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    lines = ["| # | tried | what happens | cases | outcome |", "|---|---|---|---|---|"]
    lines += [_line(number, row, outcomes.get(number, ())) for number, row in ROWS.items()]
    return f"{head}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{tail}"


def table_of(page: str) -> dict[int, tuple[str, ...]]:
    """The rows of the table in a page: what was tried, what happens, cases and outcome, by number."""
    table = page.partition(_BEGIN)[2].partition(_END)[0]
    cells = (tuple(c.strip() for c in line.strip("|").split("|")) for line in table.strip().splitlines()[2:])
    return {int(found[0]): found[1:] for found in cells if re.fullmatch(r"\d+", found[0])}


def _line(number: int, row: Row, outcomes: Sequence[str]) -> str:
    if row.struck:
        return f"| {number} | {row.tried} | struck: {row.struck} | | struck |"
    passed = outcomes.count("passed")
    skipped = f", {outcomes.count('skipped')} skipped" if "skipped" in outcomes else ""
    is_met = passed and "failed" not in outcomes
    outcome = "as specified" if is_met else "NOT as specified" if outcomes else "not tried"
    return f"| {number} | {row.tried} | {row.expected} | {passed}{skipped} | {outcome} |"
