"""Rows 45 to 47: names that are HTML, script, Markdown, escapes or paths are shown as text, and name no file."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browser import chromium
from confined_command import run_command
from markdown_it import MarkdownIt
from onnx import numpy_helper
from PIL import Image
from sardonyx.cli.app import main
from sardonyx.cli.text import LONGEST_LINE, clean

PAGE = (
    """</script><script>alert(1)</script>"><img src=x onerror=alert(1)> ' onclick=alert(1) """
    "{{7654*4567}}${7654*4567}javascript:alert(1)</title></style></svg>--><b>]]>&lt;b&gt;"
)
PROSE = "`|**a**[b](https://evil.example)![c](https://evil.example/x.png)<!-- $\\frac{1}{0}$ [bold red]x[/]@who #1"
SIGNS = "\x1b[2J\x1b]0;owned\x07\x00\r\nforged line\n\n# forged\u202egnp.exe\u2066\u2028\u2029\x85\x9b31m\x7f\ufeff"
LONG = "x" * 1_000_000
NAMES = {"page": PAGE, "prose": PROSE, "signs": SIGNS, "long": LONG}
ROW = {"page": 45, "prose": 45, "signs": 46, "long": 46}

NET = """g (float[N,8] x) => (float[N,4] y) {
    a = MatMul(x, w1)  b = Relu(a)  c = MatMul(b, w2)  d = LayerNormalization <axis = -1> (c, g)  y = MatMul(d, w3)
}"""
WEIGHTS = {"w1": (8, 16), "w2": (16, 16), "w3": (16, 4), "g": (16,)}

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
CACHE = {"SARDONYX_CACHE": "/nowhere"}

named = [pytest.param(name, id=key, marks=pytest.mark.row(ROW[key])) for key, name in NAMES.items()]


def with_names(model: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """A model with seeded weights and this in front of every name; one of a megabyte only where each kind has one."""
    random = np.random.default_rng(0)
    for key, shape in WEIGHTS.items():
        model.graph.initializer.append(numpy_helper.from_array(random.normal(0, 1, shape).astype("f4"), key))
    few = {"b", "w1"} if len(prefix) > 1000 else None
    for index, node in enumerate(model.graph.node):
        node.name = prefix * (few is None or not index) + f"{node.op_type}{index}"
        for names in (node.input, node.output):
            names[:] = [prefix + name if few is None or name in few else name for name in names]
    for thing in (*model.graph.initializer, *model.graph.input, *model.graph.output):
        thing.name = prefix + thing.name if few is None or thing.name in few else thing.name
    for value in (*model.graph.input, *model.graph.output) if few is None else ():
        value.type.tensor_type.shape.dim[0].dim_param = prefix + "N"
    model.graph.name = model.producer_name = model.graph.doc_string = prefix + "g"
    model.metadata_props.add(key=prefix + "k", value=prefix + "v")
    return model


def as_file_name(name: str) -> str:
    """As much of a name as a file may have."""
    return os.fsencode(name.replace("/", "\u2215").replace("\x00", ""))[:120].decode("utf8", "ignore")


def fill(folder: Path, model: onnx.ModelProto, name: str) -> str:
    """Write a model, a copy of it and samples; the file of the model has the name too."""
    file = as_file_name(name) + ".onnx"
    for place in (folder / file, folder / "copy.onnx"):
        place.write_bytes(model.SerializeToString())
    x = np.random.default_rng(1).normal(size=(16, 8)).astype("f4")
    np.savez(folder / "d.npz", x=x, labels=np.arange(16) % 4)
    return f"./{file}"


COMMANDS = {
    "inspect": "inspect MODEL --coupling",
    "prune": "prune MODEL --calib d.npz --params 0.6 -v -o p.onnx",
    "quantize": "quantize MODEL --calib d.npz -v -o q.onnx",
    "diagnose": "quantize MODEL --calib d.npz --diagnose -o q.onnx",
    "compare": "compare MODEL copy.onnx --data d.npz --batch 1 --drift --changed 4",
    "bench": "bench MODEL --rounds 5 --batch 1 --placement",
    "profile": "profile MODEL copy.onnx --rounds 5",
}
QUICK = ("inspect", "prune", "quantize")


def terminal_cases() -> list[Any]:
    """Each command with each name; where that takes long, among the slow ones."""
    cases = []
    for (key, name), (verb, command) in product(NAMES.items(), COMMANDS.items()):
        slow = [pytest.mark.slow] if name is LONG and verb not in QUICK else []
        cases.append(
            pytest.param(name, command, id=f"{key}-{verb}", marks=[pytest.mark.row(ROW[key]), *slow])
        )
    return cases


def texts_in(thing: Any) -> Iterator[str]:
    """Every text of a document, keys too."""
    if isinstance(thing, dict):
        yield from thing
    for part in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        yield from texts_in(part)
    if isinstance(thing, str):
        yield thing


@pytest.mark.parametrize(("name", "command"), terminal_cases())
def test_the_terminal_and_json_show_names_as_text(
    accepted: Any, place: Path, parse: Any, name: str, command: str
) -> None:
    file = fill(place, with_names(parse(NET), name), name)
    words = [file if word == "MODEL" else word for word in command.split()]
    found = accepted(*words, "--json", cpu_s=60)
    lines = found.err.split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if line.lstrip("# ").startswith("forged")] == []
    assert max(map(len, lines)) <= LONGEST_LINE
    whole = name if words[0] != "bench" else as_file_name(name)
    assert clean(whole)[:5] in found.err
    assert found.out.isascii()
    assert all(line.isprintable() for line in found.out.split("\n"))
    assert any(whole in text for text in texts_in(json.loads(found.out)))


@pytest.mark.parametrize("name", named)
@pytest.mark.parametrize("fault", ["operator", "weight", "samples"])
def test_a_refusal_shows_names_as_text(refused: Any, place: Path, parse: Any, name: str, fault: str) -> None:
    model = with_names(parse(NET.replace("float[N,8] x", "float[N,8] x, float[N,8] b")), name)
    if fault == "operator":
        model.graph.node[0].op_type = "Unheard"
    elif fault == "weight":
        model.graph.initializer[0].raw_data = np.full((8, 16), np.nan, "f4").tobytes()
    file = fill(place, model, name)
    told = refused("prune", file, "--calib", "d.npz", "--params", "0.5", "-o", "p.onnx", cpu_s=20)
    assert clean(name)[:5] in told


@pytest.mark.row(45)
@pytest.mark.row(46)
def test_classes_and_images_may_have_any_name(accepted: Any, place: Path, write: Any) -> None:
    text = "g (float[N,3,4,4] x) => (float[N,48] y) { y = Flatten(x) }"
    write(text)
    for name in (as_file_name(PAGE)[:40], as_file_name(SIGNS)):
        folder = place / "set" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / f"{name}.png")
        (folder / "cut.png").write_bytes(b"\x89PNG")
    words = ("--data", "set", "--preprocess", "size=4", "--metric", "cosine", "--batch", "1")
    lines = accepted("compare", "m.onnx", "m.onnx", *words, cpu_s=60).out.split("\n")
    assert all(line.isprintable() and not line.startswith("forged") for line in lines)
    told = next(line for line in lines if "2 files were skipped" in line)
    assert all(clean(path.relative_to(place / "set")) in told for path in place.glob("set/*/cut.png"))


RECIPE = """name = NAME
model = MODEL
[data]
calibration = "d.npz"
evaluation = "d.npz"
[[steps]]
kind = "prune"
params = 0.6
align = 4
[[steps]]
kind = "quantize"
[[steps]]
kind = "compare"
batches = [1]
rounds = 5
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a recipe ran, every name in it that of a page; what it printed lies beside its report."""
    folder = tmp_path_factory.mktemp("ran")
    file = fill(folder, with_names(onnx.parser.parse_model(HEAD + NET), PAGE), PAGE)
    recipe = RECIPE.replace("NAME", json.dumps(PAGE)).replace("MODEL", json.dumps(file, ensure_ascii=False))
    (folder / "r.toml").write_text(recipe, encoding="utf8")
    found = run_command(["run", "r.toml", "-o", "out"], folder, folder / "scratch", CACHE, cpu_s=90)
    assert found.code == 0, found.err
    (folder / "out" / "printed").write_text(found.out + found.err, encoding="utf8")
    return folder / "out"


def renamed(thing: Any, name: str) -> Any:
    """A report with another name in place of that of a page."""
    if isinstance(thing, dict):
        return {key.replace(PAGE, name): renamed(part, name) for key, part in thing.items() if key != "steps"}
    if isinstance(thing, list):
        return [renamed(part, name) for part in thing]
    return thing.replace(PAGE, name) if isinstance(thing, str) else thing


def rendered(ran: Path, place: Path, name: str, kind: str) -> str:
    """The report of the run with another name in it, as the command makes it of a page's JSON."""
    place.mkdir()
    document = renamed(json.loads((ran / "report.json").read_text("utf8")), name)
    (place / "report.json").write_text(json.dumps(document), encoding="utf8")
    with pytest.raises(SystemExit) as left:
        main(["report", str(place), "--format", kind, "-o", str(place / "made")])
    assert not left.value.code
    return (place / "made").read_text("utf8")


@pytest.fixture(scope="module")
def plain(ran: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reports with harmless names."""
    folder = tmp_path_factory.mktemp("plain")
    return {kind: rendered(ran, folder / kind, "plain", kind) for kind in ("html", "md")}


class Elements(HTMLParser):
    """Every element of a page with its attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shapes(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.found]


def outside_plots(page: str) -> str:
    """A page without its plots, whose ticks and boxes follow the width of names."""
    return "".join(part.split("</svg>")[-1] for part in page.split("<svg"))


@pytest.mark.parametrize("name", named)
def test_a_page_has_the_elements_and_attributes_of_one_with_harmless_names(
    ran: Path, tmp_path: Path, plain: dict[str, str], name: str
) -> None:
    page, other = rendered(ran, tmp_path / "r", name, "html"), plain["html"]
    found = Elements(page)
    assert Elements(outside_plots(page)).shapes == Elements(outside_plots(other)).shapes
    assert set(found.shapes) == set(Elements(other).shapes)
    assert [tag for tag, _ in found.found if tag in {"script", "style"}] == ["style", "script"]
    links = [a.get(key) or "#" for _, a in found.found for key in ("href", "xlink:href", "src", "action")]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert len(page) < 2 * len(other)
    assert (name[:4] in found.text) is name[:4].isprintable()
    assert "{{7654*4567}}" in found.text or name != PAGE


def test_a_plot_is_nothing_but_a_drawing(plain: dict[str, str]) -> None:
    drawn = {
        tag
        for part in plain["html"].split("<svg")[1:]
        for tag, _ in Elements(part.partition("</svg>")[0]).found
    }
    assert drawn > {"path", "text"}
    assert not drawn & {"script", "a", "foreignobject", "image", "style", "animate", "set", "iframe"}


@pytest.mark.parametrize("name", named)
def test_markdown_has_the_marks_of_one_with_harmless_names(
    ran: Path, tmp_path: Path, plain: dict[str, str], name: str
) -> None:
    def marks(text: str) -> list[tuple[str, str]]:
        parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        tokens = [token for block in parser.parse(text) for token in (block, *(block.children or ()))]
        shown = {"text", "html_block", "html_inline"}
        return [(t.type, t.content if t.type in shown else "") for t in tokens if t.type != "inline"]

    text = rendered(ran, tmp_path / "r", name, "md")
    assert marks(text) == marks(plain["md"])
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} for c in text.replace("\n", ""))


@pytest.mark.row(45)
def test_what_a_run_prints_and_writes_holds_names_as_text(ran: Path) -> None:
    printed = (ran / "printed").read_text("utf8")
    assert clean(PAGE)[:10] in printed
    assert all(line.replace("\xa0", " ").isprintable() for line in printed.split("\n"))
    assert "34955818" not in Elements((ran / "report.html").read_text("utf8")).text.split("Stages")[0]
    assert (ran / "report.json").read_bytes().isascii()
    assert {path.name for path in ran.iterdir()} == {
        *("manifest.json", "model.onnx", "printed", "recipe.json", "report.html", "report.json", "steps")
    }


@pytest.mark.row(45)
def test_a_browser_runs_nothing_of_a_run_with_hostile_names(
    ran: Path, tmp_path: Path, plain: dict[str, str]
) -> None:
    skeleton = """() => [...document.querySelectorAll("body *")].filter(e => !e.closest("svg"))
        .map(e => e.tagName + " " + e.getAttributeNames().join(" "))"""
    troubles: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for event in ("console", "dialog", "pageerror", "popup", "websocket", "worker", "download"):
            page.on(event, lambda _, event=event: troubles.append(event))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or troubles.append(r.url[:80]))
        found = []
        for text in ((ran / "report.html").read_text("utf8"), plain["html"]):
            (tmp_path / "r.html").write_text(text, encoding="utf8")
            page.goto((tmp_path / "r.html").as_uri())
            found.append((page.evaluate("document.scripts.length"), page.evaluate(skeleton)))
    assert troubles == []
    assert found[0] == found[1]
    assert found[0][0] == 1


@pytest.mark.row(47)
@pytest.mark.parametrize("prefix", ["../../escaped/", "/tmp/escaped-"])
def test_a_path_as_a_name_makes_no_file(
    accepted: Any, place: Path, tmp_path: Path, parse: Any, prefix: str
) -> None:
    fill(place, with_names(parse(NET), prefix), "m")
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    accepted("quantize", "m.onnx", "--calib", "d.npz", "--diagnose", "-o", "q.onnx", cpu_s=30)
    accepted("compare", "m.onnx", "q.onnx", "--data", "d.npz", "--drift", "--batch", "1", cpu_s=60)
    accepted("profile", "m.onnx", "q.onnx", "--rounds", "5", cpu_s=30)
    after = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    assert after - before == {place / "q.onnx"}
    assert not [
        path for path in (tmp_path / "cache").rglob("*") if "escaped" in path.name or ".." in path.name
    ]
    assert not list(Path("/tmp").glob("escaped*"))
