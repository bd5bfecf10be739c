from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from sardonyx.pipeline.report import (
    Curve,
    Layer,
    Measured,
    RunReport,
    SkippedItem,
    Stage,
    StageLatency,
    pareto_png,
    render_html,
    render_terminal,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% include 'x' %}",
    "javascript:alert(1)",
    "</title></style></svg><b>",
    "--><i onclick=x>",
    "$\\frac{1}{0}$",
    "\x1b[31mred\x1b[0m\x00\r\n\u202eevil",
    "[bold red]x[/]",
    "' style='background:red",
    "x" * 1_000_000,
]


def report_named(name: str) -> RunReport:
    """A report with this name in every place that a name or text can stand."""
    fact = Measured(0.9, 0.88, 0.92, name)
    first = StageLatency(1, Measured(2.0, 1.9, 2.1), Measured(1.0, 1.0, 1.0), "baseline", name)
    second = StageLatency(1, Measured(1.0, 0.9, 1.1), Measured(2.0, 1.8, 2.2), "faster", name)
    stages = (
        Stage(
            name,
            name + "k",
            100,
            1000,
            4000,
            fact,
            latency=(first,),
            seconds=1.0,
            notes=(name,),
            warnings=(name,),
        ),
        Stage(name + "2", "", 50, 500, 1000, fact, Measured(0.0, -0.1, 0.1), fact, (second,), 2.0),
    )
    return RunReport(
        title=name,
        metric=name,
        stages=stages,
        layers=(Layer(name, name, 64, 32, 30.0, name),),
        skipped=(SkippedItem(name, name, name, name),),
        curves=(Curve(name, name, (1.0, 2.0), (0.5, 0.25)), Curve(name + "2", name, (1.0, 2.0), (0.4, 0.2))),
        environment={name: name},
        provenance={name: name},
        command=name,
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


@pytest.fixture(scope="module")
def plain() -> str:
    return render_html(report_named("plain"))


@pytest.mark.parametrize("name", HOSTILE, ids=lambda n: repr(n[:12]))
def test_no_element_or_attribute_comes_from_a_name(plain: str, name: str) -> None:
    page = render_html(report_named(name))
    assert structure(page) == structure(plain)
    found = Skeleton(page)
    assert {tag for tag, _ in found.elements} == {tag for tag, _ in Skeleton(plain).elements}
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


def test_the_page_loads_and_runs_nothing(plain: str) -> None:
    found = Skeleton(plain)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "link", "iframe", "object", "img", "image", "form", "base", "foreignobject"}
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in {v for _, v in found.attributes}
    references = [v for k, v in found.attributes if k in {"href", "xlink:href", "src"}]
    assert all((value or "").startswith("#") for value in references)


def test_ids_are_unique(plain: str) -> None:
    ids = re.findall(r'<[^>]* id="([^"]+)"', plain)
    assert len(ids) == len(set(ids)) > 20


def test_plots_follow_the_page_colours_and_carry_no_style_sheet(plain: str) -> None:
    assert plain.count("<svg") == 4
    assert plain.count("<style>") == 1
    assert "var(--accent)" in plain.split("</style>")[1]
    assert "#040404" not in plain


def test_the_same_report_gives_the_same_bytes_in_another_process(plain: str) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_report_html as t; print(t.digest(t.render_html(t.report_named('plain'))))"
    variables = {**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "HOME": "/nonexistent", "TERM": "dumb"}
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
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
