"""A report as Markdown: what it says, and that no name says anything by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reports import HOSTILE, full_report, report_named, search_named
from sardonyx.pipeline.report import RunReport, SkippedItem, Stage, render_markdown
from sardonyx.pipeline.report.markdown import code, fence

NAMES = [
    *HOSTILE,
    "a|b",
    "a\\|b",
    "a\\",
    "\\`a",
    "`",
    "``` a",
    "` | `",
    "@octocat",
    "a@b.example",
    "#12",
    "owner/repo#1",
    "[a](https://evil.example)",
    "![a](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "**a** _b_ ~~c~~",
    "a\n\n# b\n- c\n| d |",
    "</details><script>",
    "<!-- a",
    "&lt;b&gt;",
    " a ",
    "   ",
    ":smile:",
    "$a$",
    "```\n</details>",
]


def tokens(text: str) -> list[Token]:
    """Every token of GitHub's kind of Markdown, with links that need no brackets."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [token for block in parser.parse(text) for token in (block, *(block.children or ()))]


def outside_code(text: str) -> str:
    """All that is not in code: text, HTML and what is around them."""
    return "\n".join(t.content for t in tokens(text) if t.type in {"text", "html_block", "html_inline"})


@pytest.mark.parametrize("make", [report_named, search_named])
@pytest.mark.parametrize("name", NAMES, ids=lambda n: repr(n[:16]))
def test_nothing_in_a_name_is_markdown_or_html(name: str, make: object) -> None:
    assert callable(make)
    found, plain = render_markdown(make(name)), render_markdown(make("é-é"))
    kinds = [(t.type, t.tag) for t in tokens(found)]
    assert kinds == [(t.type, t.tag) for t in tokens(plain)]
    assert outside_code(found) == outside_code(plain)
    assert not any(kind in {"link_open", "image"} for kind, _ in kinds)
    assert "\x1b" not in found
    assert "\u202e" not in found


def test_names_are_shown() -> None:
    shown = [
        t.content for t in tokens(render_markdown(report_named("<b>*x*</b>"))) if t.type == "code_inline"
    ]
    assert "<b>*x*</b>" in shown


@pytest.mark.parametrize(
    ("name", "span"),
    [("a", "`a`"), ("", "–"), ("a`b|c", "`aˋb¦c`"), (" a", "`  a `"), ("a\nb", "`a\ufffdb`")],
)
def test_a_name_as_code(name: str, span: str) -> None:
    assert code(name) == span


def test_a_fence_holds_a_hundred_lines_and_counts_the_rest() -> None:
    lines = fence(["```", *["x"] * 150]).split("\n")
    assert lines[:2] == ["```text", "ˋˋˋ"]
    assert lines[-2:] == ["... and 51 more in report.json", "```"]


def test_the_headline_the_stages_and_the_reasons() -> None:
    report = full_report()
    text = render_markdown(replace(report, skipped=(SkippedItem("q", "n1", "why", "t"),) * 3))
    assert text.startswith(
        "### Sardonyx: `The fastest resnet20 within 0.01`\n\n`resnet2` against `resnet`:\n\n- **2.00×** faster"
    )
    assert "| `resnet` | 90.00 % (88.00 – 92.00) | – | 2.00 ms | 4.00 kB | 100 |" in text
    assert (
        "| **`resnet2`** | 90.00 % (88.00 – 92.00) | ±0.00 points (−10.00 – 10.00) | 1.00 ms 2.00× | 1.00 kB | 50 |"
        in text
    )
    assert "| `why` | `q` | 3 |" in text
    assert text.endswith("</details>\n")
    assert "\u00a0" not in text


def test_a_report_without_models_has_its_stages() -> None:
    assert render_markdown(RunReport("t", "top1", (Stage("train"),))).count("\n") == 5


def test_a_large_report_fits_in_a_comment() -> None:
    items = tuple(SkippedItem("s", f"n{i}" * 100, f"c{i}", "t" * 1000) for i in range(5000))
    assert len(render_markdown(replace(full_report(), skipped=items))) < 65_536
