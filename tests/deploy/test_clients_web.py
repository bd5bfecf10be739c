"""The page of a bundle in a headless Chromium: self-test, answers, names that stay names, and no network."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium
from bundles import HOSTILE, LABELS, expected, pictures, write_bundle, write_case
from npm_packages import content_of
from PIL import Image
from sardonyx.deploy.web_runtime import WEB_RUNTIME, web_runtime

Page = Any


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    content_of(WEB_RUNTIME)
    with chromium() as found:
        yield found


class Pages:
    """Opens pages of bundles, and keeps what goes wrong, pops up or is asked of others."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.servers: list[http.server.ThreadingHTTPServer] = []
        self.contexts: list[Any] = []
        self.troubles: list[str] = []

    def __call__(self, bundle: Path, *, width: int = 1280, **words: Any) -> Page:
        handler = functools.partial(Quiet, directory=bundle)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://localhost:{server.server_port}/"
        context = self.browser.new_context(viewport={"width": width, "height": 900}, **words)
        self.contexts.append(context)
        context.on(
            "request", lambda r: r.url.startswith((origin, "data:")) or self.troubles.append(r.url[:80])
        )
        page = context.new_page()
        page.on("console", lambda message: self.troubles.append(message.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self.troubles.append("dialog"))
        page.goto(origin)
        page.wait_for_selector("#self-test[data-passed]")
        return page

    def stop_serving(self) -> None:
        while self.servers:
            server = self.servers.pop()
            server.shutdown()
            server.server_close()

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.stop_serving()


@pytest.fixture
def show(browser: Any) -> Iterator[Pages]:
    """Opens pages; afterwards nothing may have gone wrong."""
    pages = Pages(browser)
    yield pages
    pages.close()
    assert pages.troubles == []


@pytest.fixture(scope="module")
def shared(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pages, Page]]:
    pages = Pages(browser)
    yield pages, pages(write_page(tmp_path_factory.mktemp("shared") / "bundle"))
    pages.close()


@pytest.fixture
def page(shared: tuple[Pages, Page]) -> Iterator[Page]:
    """One page for all tests that leave it as it was; nothing may have gone wrong on it."""
    pages, opened = shared
    opened.set_viewport_size({"width": 1280, "height": 900})
    yield opened
    assert pages.troubles == []


def write_page(folder: Path, **words: Any) -> Path:
    return write_bundle(folder, platform="web", clients=["web"], extra=web_runtime().files, **words)


def answered(page: Page, text: str, role: str = "model") -> None:
    """Wait for the answer of a model."""
    page.locator(f"[data-role={role}] .answer", has_text=text).wait_for(timeout=10_000)


@pytest.mark.parametrize("name", ["one may be", "another answer"])
def test_it_tests_itself(show: Pages, tmp_path: Path, name: str) -> None:
    bundle, case = write_case(tmp_path / "bundle", name, ["web"], web_runtime().files)
    page = show(bundle)
    told = page.locator("#self-test")
    assert told.inner_text().startswith(f"self-test: {case.passed} of 6 samples, largest difference ")
    assert told.get_attribute("data-passed") == str(case.passed == 6).lower()


def test_both_models_answer_like_python(page: Page) -> None:
    inputs = pictures(500)
    code = """([values, shape, role]) => sardonyx.classify(new Float32Array(values), shape, role)
        .then(({ answers }) => answers.map(({ index, label, probability, scores }) => [index, label, probability, scores]))"""
    for role in ("model", "reference"):
        wanted = expected(inputs, is_int8=role == "model")
        rows = page.evaluate(code, [inputs.ravel().tolist(), list(inputs.shape), role])
        np.testing.assert_allclose([row[3] for row in rows], wanted, rtol=1e-4, atol=1e-4)
        assert [row[0] for row in rows] == wanted.argmax(1).tolist()
        assert [row[1] for row in rows] == [LABELS[i] for i in wanted.argmax(1)]
        shares = np.exp(wanted - wanted.max(1, keepdims=True))
        np.testing.assert_allclose(
            [row[2] for row in rows], (shares / shares.sum(1, keepdims=True)).max(1), rtol=1e-3
        )


def test_a_drawing_is_answered_by_both(page: Page) -> None:
    page.get_by_role("button", name="Clear").click()
    page.locator("#pen").fill("30")
    box = page.locator("#picture").bounding_box()
    x, y = (box["x"] + 0.15 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 0.8 * box["height"], steps=4)
    page.mouse.up()
    answered(page, "left", "model")
    answered(page, "left", "reference")
    assert page.locator("#verdict").inner_text() == "Both give the same answer."
    page.get_by_role("button", name="Invert").click()
    answered(page, "right", "reference")


def test_a_sample_is_shown_and_answered(page: Page) -> None:
    assert page.locator("#samples span").all_inner_texts() == [LABELS[i % 4] for i in range(6)]
    page.locator("#samples button").nth(1).click()
    answered(page, "bottom", "model")
    assert "%" in page.locator("[data-role=model] li").first.inner_text()
    assert "ms" in page.locator("[data-role=model]").inner_text()


def test_an_image_is_cut_from_its_centre(page: Page, tmp_path: Path) -> None:
    pixels = np.zeros((60, 120), np.uint8)
    pixels[:, 60:90], pixels[:, :30] = 255, 255  # Of the square in the middle, the right half is light.
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    page.set_input_files("#file", tmp_path / "wide.png")
    answered(page, "right", "model")
    assert page.locator("[data-role=model] .answer").inner_text() == "right"


def test_a_file_that_is_no_image_is_refused(page: Page, tmp_path: Path) -> None:
    (tmp_path / "none.png").write_bytes(b"none")
    page.set_input_files("#file", tmp_path / "none.png")
    told = page.get_by_text("This file is no image")
    told.wait_for()
    assert told.count() == 1


def test_a_fixed_batch_is_filled(show: Pages, tmp_path: Path) -> None:
    page = show(write_page(tmp_path / "bundle", axis=2))
    page.locator("#samples button").nth(3).click()
    answered(page, "right")
    code = "([values, shape]) => sardonyx.classify(new Float32Array(values), shape).then((found) => found.answers.length)"
    inputs = pictures()
    assert page.evaluate(code, [inputs.ravel().tolist(), list(inputs.shape)]) == 6
    with pytest.raises(Exception, match="the model takes 2 samples at a time"):
        page.evaluate(code, [inputs[:3].ravel().tolist(), [3, *inputs.shape[1:]]])


def test_without_preprocessing_there_is_the_self_test_only(show: Pages, tmp_path: Path) -> None:
    page = show(write_page(tmp_path / "bundle", has_preprocessing=False))
    page.locator("#times tr").nth(1).wait_for()
    assert page.locator("#self-test").get_attribute("data-passed") == "true"
    assert page.locator("#try:visible").count() == 0


def test_names_stay_names(show: Pages, tmp_path: Path) -> None:
    page = show(write_page(tmp_path / "bundle", labels=HOSTILE), width=390)
    page.locator("#times tr").nth(1).wait_for()
    assert page.locator("#samples span").first.text_content() == HOSTILE[0]
    assert page.evaluate("document.images.length + document.querySelectorAll('body script').length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_policy_lets_no_script_and_no_request_pass(show: Pages, tmp_path: Path) -> None:
    page = show(write_page(tmp_path / "bundle"))
    refused = page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            return fetch("http://127.0.0.1:9/").catch(() => "refused");
        }"""
    )
    assert refused == "refused"
    assert page.title() == "halves"
    assert len(show.troubles) >= 2
    show.troubles.clear()


@pytest.mark.parametrize("file", ["model.onnx", "self_test/outputs.0.bin"])
def test_a_flipped_byte_is_noticed(show: Pages, tmp_path: Path, file: str) -> None:
    bundle = write_page(tmp_path / "bundle")
    content = bytearray((bundle / file).read_bytes())
    content[-1] ^= 1
    (bundle / file).write_bytes(content)
    page = show(bundle)
    assert page.locator("#self-test").get_attribute("data-passed") == "false"
    assert f"{file} could not be fetched, or is not the file" in page.locator("#self-test").inner_text()
    show.troubles.clear()


def test_it_works_without_a_server(show: Pages, tmp_path: Path) -> None:
    page = show(write_page(tmp_path / "bundle"))
    page.wait_for_selector("#offline[data-kept=true]")
    show.stop_serving()
    page.reload()
    page.wait_for_selector("#self-test[data-passed=true]")
    answered(page, "top")
    assert page.locator("#self-test").inner_text().startswith("self-test: 6 of 6 samples")
    show.troubles.clear()  # Chromium tells of requests that failed.


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_as_wide_as_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("#times tr").nth(1).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark_follow_the_system(page: Page) -> None:
    code = "getComputedStyle(document.body).backgroundColor"
    for scheme, colour in (("dark", "rgb(20, 17, 15)"), ("light", "rgb(250, 247, 242)")):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(code) == colour
