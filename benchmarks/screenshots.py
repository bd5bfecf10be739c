"""Take pictures of a report as a browser shows it, wide and on a phone, for the pages about it.

    python benchmarks/screenshots.py out/digits docs/images --name report

Needs Chromium and playwright, which the extra ``dev`` brings. The page is cut off below: a picture shows its beginning.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

VIEWS = (
    ("wide", 1280, 1560, "light"),
    ("dark", 1280, 1560, "dark"),
    ("phone", 390, 1560, "light"),
)
"""Name, width and most height in pixels, and colours."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder that `sardonyx run` filled")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--name", default="report", help="how their names begin")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser")
    arguments = parser.parse_args()
    if arguments.chromium is None:
        parser.error("no Chromium is installed: apt-get install chromium, or name one with --chromium")
    page = (arguments.run / "report.html").absolute().as_uri()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=arguments.chromium, args=list(ARGUMENTS))
        for view, width, height, colours in VIEWS:
            place = arguments.folder / f"{arguments.name}-{view}.png"
            take(browser, page, place, width, height, colours)
            print(f"wrote {place}")
        browser.close()


def take(browser: Any, address: str, place: Path, width: int, height: int, colours: str) -> None:
    """A picture of the beginning of a page, cut between two parts where one ends not far above the most height."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    page.goto(address)
    ends = page.evaluate(
        "[...document.querySelectorAll('section, figure')].map(e => e.getBoundingClientRect().bottom)"
    )
    cut = max((end + 28 for end in ends if 0.6 * height < end + 28 <= height), default=height)
    whole = page.evaluate("document.documentElement.scrollHeight")
    page.screenshot(
        path=place, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": min(cut, whole)}
    )
    page.close()


if __name__ == "__main__":
    main()
