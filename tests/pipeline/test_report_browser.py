"""The page in a browser: tables that sort and filter, colours, paper, and names that stay names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from reports import HOSTILE, full_report, search_named
from sardonyx.pipeline.report import RunReport, render_html

Page = Any

# Where text of a megabyte and odd signs are cut, browsers have nothing more to do.
MORE = [
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "\u202egnp.exe\u2066",
    "</style><script>alert(1)</script>",
    "'); alert(1); ('",
    "&quot;&lt;img src=x onerror=alert(1)&gt;",
    "x" * 90,
]
NAMES = [*HOSTILE, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Shows a report; afterwards nothing may have gone wrong, been asked for or popped up."""
    contexts, troubles = [], []

    def opened(report: RunReport, *, width: int = 1280, **words: Any) -> Page:
        place = tmp_path / "report.html"
        place.write_bytes(render_html(report).encode("utf8"))
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **words))
        page = contexts[-1].new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append("dialog"))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or troubles.append(r.url[:80]))
        page.goto(place.as_uri())
        page.troubles = troubles
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


def column(page: Page, part: str, number: int) -> list[str]:
    """The visible cells of a column of a table."""
    rows = page.get_by_role("region", name=part, exact=True).locator("tbody tr:visible")
    return [row.locator("th, td").nth(number).inner_text().split("\n")[0] for row in rows.all()]


def heading(page: Page, part: str, name: str) -> Any:
    return page.get_by_role("region", name=part, exact=True).get_by_role("button", name=name)


def sorting(page: Page, part: str) -> list[str | None]:
    cells = page.get_by_role("region", name=part, exact=True).locator("thead th")
    return [cell.get_attribute("aria-sort") for cell in cells.all()]


def test_a_heading_sorts_down_up_and_back(show: Callable[..., Page]) -> None:
    page = show(full_report())
    before = column(page, "Layers", 0)
    heading(page, "Layers", "SQNR").click()
    noise = [float(text.split()[0]) for text in column(page, "Layers", 5) if text != "–"]
    assert noise == sorted(noise, reverse=True)
    assert column(page, "Layers", 5)[-2:] == ["–", "–"]
    assert sorting(page, "Layers")[5] == "descending"
    heading(page, "Layers", "SQNR").click()
    assert column(page, "Layers", 5)[0] == f"{min(noise):.1f} dB"
    assert column(page, "Layers", 5)[-2:] == ["–", "–"]
    assert [way for way in sorting(page, "Layers") if way] == ["ascending"]
    heading(page, "Layers", "SQNR").click()
    assert column(page, "Layers", 0) == before
    assert set(sorting(page, "Layers")) == {None}


def test_the_keyboard_sorts_names_as_people_do(show: Callable[..., Page]) -> None:
    page = show(full_report())
    heading(page, "Layers", "Operator").focus()
    page.keyboard.press("Enter")
    assert column(page, "Layers", 1)[0] == "Conv"
    page.keyboard.press("Space")
    assert column(page, "Layers", 1)[0] == "Gemm"
    heading(page, "Layers", "Layer").focus()
    page.keyboard.press("Enter")
    names = column(page, "Layers", 0)
    assert names.index("block9.conv0") > names.index("block2.conv0")
    assert sorting(page, "Layers")[:2] == ["ascending", None]


def test_words_and_kinds_filter(show: Callable[..., Page]) -> None:
    page = show(full_report())
    told = page.locator("section", has=page.get_by_role("region", name="Layers", exact=True)).locator(
        "output"
    )
    assert told.inner_text() == "30 rows"
    box = page.get_by_role("searchbox", name="Filter layers")
    box.fill("CONV1 float32")
    assert column(page, "Layers", 0) == []
    box.fill("conv1 block4")
    assert column(page, "Layers", 0) == ["block4.conv1"]
    assert told.inner_text() == "1 of 30 rows"
    box.fill("")
    page.get_by_label("Kind of layers").select_option(label="Gemm (1)")
    assert column(page, "Layers", 0) == ["block9.conv2"]
    assert len(column(page, "Candidates", 0)) == 14
    heading(page, "Layers", "Bits").click()
    assert column(page, "Layers", 4) == ["32"]


def test_candidates_filter_by_what_became_of_them(show: Callable[..., Page]) -> None:
    page = show(full_report())
    page.get_by_label("Kind of candidates").select_option(label="taken (1)")
    assert column(page, "Candidates", 0) == ["cut 3.95 float"]


SKELETON = """() => [...document.querySelectorAll("body *")].filter(e => !e.closest("svg"))
    .map(e => e.tagName + " " + e.getAttributeNames().join(" "))"""


@pytest.fixture(scope="module")
def skeleton(browser: Any) -> list[str]:
    """Every element of a page with plain names, with its attributes."""
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.set_content(render_html(search_named("plain")))
    found: list[str] = page.evaluate(SKELETON)
    page.close()
    return found


@pytest.mark.parametrize("name", NAMES, ids=lambda n: repr(n[:14]))
def test_a_name_stays_a_name(show: Callable[..., Page], name: str, skeleton: list[str]) -> None:
    page = show(search_named(name), width=390)
    found = page.evaluate(SKELETON)
    assert page.evaluate("document.scripts.length") == 1
    assert (
        page.evaluate("document.querySelectorAll('svg script, svg a, foreignObject, body style').length") == 0
    )
    assert page.evaluate(
        "[...document.images].every(i => i.src.startsWith('data:image/png') && i.naturalWidth)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not [e for e in found if " on" in e]
    assert found == skeleton


@pytest.mark.parametrize("width", [320, 1280, *(pytest.param(w, marks=pytest.mark.slow) for w in (390, 768))])
@pytest.mark.parametrize("make", [full_report, lambda: search_named("x" * 200)])
def test_the_page_is_as_wide_as_the_screen(show: Callable[..., Page], width: int, make: Any) -> None:
    page = show(make(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_script_everything_is_there(show: Callable[..., Page]) -> None:
    page = show(full_report(), java_script_enabled=False)
    assert len(column(page, "Layers", 0)) == 30
    assert page.locator(".tools:visible, #theme:visible, thead button").count() == 0


def paper(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark_follow_the_system_and_the_button(show: Callable[..., Page]) -> None:
    light, dark = "rgb(250, 247, 242)", "rgb(20, 17, 15)"
    assert paper(show(full_report(), color_scheme="light")) == light
    page = show(full_report(), color_scheme="dark")
    assert paper(page) == dark
    page.locator("#theme").click()
    assert (paper(page), page.locator("#theme").inner_text()) == (light, "light colours")
    page.reload()
    assert paper(page) == light
    page.locator("#theme").click()
    assert paper(page) == dark


def test_plots_take_the_colours_of_the_page(show: Callable[..., Page]) -> None:
    code = "getComputedStyle(document.querySelector('svg [fill=\"var(--accent)\"]')).fill"
    assert show(full_report(), color_scheme="light").evaluate(code) == "rgb(168, 72, 31)"
    assert show(full_report(), color_scheme="dark").evaluate(code) == "rgb(229, 138, 91)"


def test_paper_is_white_whole_and_without_controls(show: Callable[..., Page]) -> None:
    page = show(full_report(), width=690, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert paper(page) == "rgb(255, 255, 255)"
    assert page.locator(".tools:visible, #theme:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].every(e => e.scrollHeight <= e.clientHeight)"
    )


def test_the_policy_lets_no_other_script_or_style_pass(show: Callable[..., Page]) -> None:
    page = show(full_report())
    page.evaluate(
        """() => {
            const add = (tag, text) => {
                const element = document.createElement(tag);
                element.textContent = text;
                document.body.append(element);
            };
            add("script", "document.title = 'owned'");
            add("style", "body { background: red }");
            document.body.setAttribute("onclick", "document.title = 'owned'");
            document.body.setAttribute("style", "background: red");
            document.body.click();
        }"""
    )
    assert page.title() == "The fastest resnet20 within 0.01"
    assert paper(page) == "rgb(250, 247, 242)"
    refusals = [text for text in page.troubles if "Content Security Policy" in text]
    assert len(refusals) == len(page.troubles) >= 4
    page.troubles.clear()
