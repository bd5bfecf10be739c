from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from reports import HOSTILE, picture, report_named, search_named
from sardonyx.core.errors import InputError
from sardonyx.pipeline.report import (
    ChangedSample,
    Layer,
    RunReport,
    Stage,
    pareto_png,
    read_report,
    render_html,
    render_terminal,
    to_json,
)


class Skeleton(HTMLParser):
    """Every element with its attributes, except what only numbers and widths of text decide."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.attributes |= set(attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def digest(page: str) -> str:
    return hashlib.sha256(page.encode()).hexdigest()


def structure(page: str) -> list[tuple[str, tuple[str, ...]]]:
    """The elements outside the plots, whose number of ticks may follow the width of names."""
    outside = "".join(part.split("</svg>")[-1] for part in page.split("<svg"))
    return Skeleton(outside).elements


@cache
def page_of(make: Callable[[str], RunReport], name: str) -> str:
    return render_html(make(name))


@pytest.fixture
def plain() -> str:
    return page_of(report_named, "plain")


@pytest.mark.parametrize("make", [report_named, search_named])
@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: repr(n[:12]))
def test_no_element_or_attribute_comes_from_a_name(name: str, make: Callable[[str], RunReport]) -> None:
    page, other = page_of(make, name), page_of(make, "plain")
    assert structure(page) == structure(other)
    found = Skeleton(page)
    assert {tag for tag, _ in found.elements} == {tag for tag, _ in Skeleton(other).elements}
    assert not any(key.startswith("on") for key, _ in found.attributes)
    assert not any((value or "").startswith("javascript:") for _, value in found.attributes)


def test_names_are_shown_and_not_evaluated() -> None:
    text = "".join(Skeleton(render_html(report_named("{{7*7}}<b>"))).text)
    assert "{{7*7}}<b>" in text
    assert "49" not in text.split("Stages")[0]


def test_long_names_are_cut_and_controls_replaced() -> None:
    assert len(render_html(report_named("x" * 1_000_000))) < 200_000
    page = render_html(report_named("\x1b[31m\u202e\x00"))
    assert not any(c in page for c in "\x1b\u202e\x00")
    assert "\ufffd" in page


@pytest.mark.parametrize("name", ["plain", *HOSTILE], ids=lambda n: repr(n[:12]))
def test_the_page_loads_nothing_and_runs_one_script_that_is_ours(name: str) -> None:
    page = page_of(search_named, name)
    found = Skeleton(page)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == tags.count("style") == page.count("<script") == page.count("</script") == 1
    assert ("script", ()) in found.elements
    assert not {*tags} & {"link", "iframe", "object", "embed", "image", "form", "base", "foreignobject"}
    assert page.split("<script>")[1].split("</script>")[0] == asset("report.js")
    assert page.split("<style>")[1].split("</style>")[0] == asset("report.css")
    (policy,) = [value for key, value in found.attributes if key == "content" and "default-src" in str(value)]
    assert policy == (
        f"default-src 'none'; script-src '{named('report.js')}'; style-src '{named('report.css')}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert not any(key == "style" for key, _ in found.attributes)
    references = [v for k, v in found.attributes if k in {"href", "xlink:href", "src"}]
    assert all((value or "").startswith(("#", "data:image/png;base64,iVBORw0KGgo")) for value in references)


def asset(name: str) -> str:
    return files("sardonyx.pipeline.report").joinpath(name).read_text(encoding="utf8")


def named(name: str) -> str:
    """How the policy names one of our assets."""
    return "sha256-" + base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode()


def test_the_script_makes_nothing_of_text() -> None:
    words = (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval",
        "Function(",
        "fetch",
        "import(",
        "http",
    )
    assert not [word for word in words if word in asset("report.js")]
    assert "</" not in asset("report.js") + asset("report.css")


@pytest.mark.parametrize(
    "text", ["x", "javascript:1", '"><script>', "PHN2Zz4=", "iVBORw0KGgo=", picture() + "é"]
)
def test_only_a_small_png_is_a_picture(text: str, tmp_path: Path) -> None:
    report = replace(report_named("a"), changed=(ChangedSample(0, "1", "1", "2", text),))
    assert "<img" not in render_html(report)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(to_json(report)))
    with pytest.raises(InputError, match="no small PNG"):
        read_report(path)


def test_ids_are_unique(plain: str) -> None:
    ids = re.findall(r'<[^>]* id="([^"]+)"', plain)
    assert len(ids) == len(set(ids)) > 20


def test_plots_follow_the_page_colours_and_carry_no_style_sheet(plain: str) -> None:
    assert plain.count("<svg") == 5
    assert plain.count("<style>") == 1
    assert "var(--accent)" in plain.split("</style>")[1]
    assert "#040404" not in plain


def test_the_same_report_gives_the_same_bytes_in_another_process(plain: str) -> None:
    code = "import sys; sys.path[:0] = sys.argv[1:]; import test_report_html as t; print(t.digest(t.render_html(t.report_named('plain'))))"
    variables = {**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "HOME": "/nonexistent", "TERM": "dumb"}
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(here), str(here.parent)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=variables, check=True)
    assert done.stdout.strip() == digest(plain)


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_small_reports_have_a_page(stages: int) -> None:
    report = replace(
        report_named("a"), stages=report_named("a").stages[:stages], layers=(), curves=(), skipped=()
    )
    page = render_html(report)
    assert ("<svg" in page) == (stages == 2)


def test_stages_without_models_and_figures() -> None:
    report = RunReport("t", "top1", (Stage("train", seconds=3.0), Stage("export", size_bytes=10)))
    assert "3.0\u00a0s" in render_html(report)
    assert "export" in render_terminal(report)


def test_many_layers_are_cut_off_and_counted() -> None:
    layers = tuple(Layer(f"layer{i}", "Conv", 64, 32) for i in range(1000))
    page = render_html(replace(report_named("a"), layers=layers))
    assert "600 more are in the JSON report" in page
    assert "layer399<" in page
    assert "layer400<" not in page


def test_the_png_is_one_and_always_the_same() -> None:
    first, second = (pareto_png(report_named("a$b")) for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", HOSTILE[:-1], ids=lambda n: repr(n[:12]))
def test_the_terminal_shows_names_as_they_are(name: str) -> None:
    text = render_terminal(report_named(name))
    assert "\x1b" not in text
    assert "\x00" not in text
    assert name[:8] in text or not name[:8].isprintable()


def test_a_narrow_terminal_does_not_break() -> None:
    assert max(map(len, render_terminal(report_named("x" * 300), width=40).splitlines())) <= 40
