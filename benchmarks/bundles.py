"""A bundle for every platform, verified, damaged, and run: in Python, in a browser and under Node.js.

    python benchmarks/bundles.py int8.onnx float.onnx --data fashion-mnist:test --labels T-shirt,trouser,...
    python benchmarks/bundles.py int8.onnx float.onnx --picture docs/images/web-bundle.png

Packages the models, verifies each bundle, flips a byte of every file and looks whether `sardonyx verify` finds it. Then the web
bundle's page answers the first 500 samples, and so does onnxruntime-node, and both are held against Python. Needs Chromium,
playwright (of the extra `dev`), npm and Node.js.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import sardonyx as sx
from playwright.sync_api import sync_playwright
from sardonyx.calib_data import OrtRunner

sys.path.append(str(Path(__file__).absolute().parent / "side_by_side"))

from screenshots import ARGUMENTS
from tables import markdown

PLATFORMS = ("linux", "web", "android", "ios")
NODE = """
const { readFileSync } = require("node:fs");
const ort = require("onnxruntime-node");
(async () => {
  const [file, name, samples, ...shape] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(file);
  const values = new Float32Array(readFileSync(samples).buffer);
  const size = values.length / Number(shape[0]);
  const answers = [];
  for (let i = 0; i < Number(shape[0]); i++) {
    const one = new ort.Tensor("float32", values.slice(i * size, (i + 1) * size), [1, ...shape.slice(1).map(Number)]);
    const scores = (await session.run({ [name]: one }))[session.outputNames[0]].data;
    answers.push(scores.indexOf(Math.max(...scores)));
  }
  console.log(JSON.stringify(answers));
})();
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Not a word."""


def main() -> None:
    arguments = _parser().parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    bundles = {name: work / "bundles" / name for name in PLATFORMS}
    _package(arguments, work / "bundles")
    rows = []
    for name, bundle in bundles.items():
        manifest = json.loads((bundle / "manifest.json").read_text())
        found, files = _damage(bundle, work / "damaged")
        shrunk = _shrunk(manifest)
        rows.append((name, f"{len(manifest['files'])}", _verified(bundle), f"{found} of {files}", shrunk))
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    print(
        markdown(
            ("platform", "files", "verify", "flipped bytes found", "float over integers, on the wire"), rows
        )
    )
    _answers(arguments, bundles["web"], work)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("--data", default="fashion-mnist:test")
    parser.add_argument("--labels", default="")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--picture", type=Path, help="where to put a picture of the page")
    parser.add_argument("--work", type=Path, default=Path("out/bundles"))
    return parser


def _sardonyx(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sardonyx", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _package(arguments: argparse.Namespace, folder: Path) -> None:
    words: list[str | Path] = ["package", arguments.model, "--data", arguments.data, "-o", folder, "--force"]
    words += ["--reference", arguments.reference, *(w for name in PLATFORMS for w in ("--for", name))]
    words += ["--labels", arguments.labels] if arguments.labels else []
    done = _sardonyx(*words)
    if done.returncode:
        sys.exit(done.stderr)


def _verified(bundle: Path) -> str:
    return "passes" if _sardonyx("verify", bundle).returncode == 0 else "FAILS"


def _damage(bundle: Path, place: Path) -> tuple[int, int]:
    """In how many of a bundle's files a flipped byte is found, and how many there are."""
    files = sorted(path.relative_to(bundle) for path in bundle.rglob("*") if path.is_file())
    found = 0
    for file in files:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(bundle, place)
        content = bytearray((place / file).read_bytes())
        content[len(content) // 2] ^= 1
        (place / file).write_bytes(content)
        found += _sardonyx("verify", place).returncode in {1, 3}
    return found, len(files)


def _shrunk(manifest: dict[str, Any]) -> str:
    reference = next(o for o in manifest["others"] if o["role"] == "reference")
    return f"{reference['gzip_bytes'] / manifest['model']['gzip_bytes']:.2f}x"


def _answers(arguments: argparse.Namespace, bundle: Path, work: Path) -> None:
    """What the page and Node.js answer to the first samples, against Python."""
    data = sx.open_data(arguments.data)
    read = data.source.read(list(data.indices[: arguments.samples]))
    (inputs,) = read.values()
    model = sx.open_model(bundle / "model.onnx")
    (output,), name = [spec.name for spec in model.outputs], model.inputs[0].name
    feeds = [{name: one[None]} for one in inputs]
    runs = OrtRunner().run(model.load(), feeds, [output], optimize=True)
    wanted = np.concatenate([run[output] for run in runs]).argmax(1)
    for where, answers in (
        ("browser", _in_browser(bundle, inputs, arguments.picture)),
        ("node", _in_node(bundle, name, inputs, work)),
    ):
        print(
            f"{where}: the answer of Python on {(np.asarray(answers) == wanted).sum()} of {len(wanted)} samples"
        )


def _in_browser(bundle: Path, inputs: Any, picture: Path | None) -> list[int]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(bundle))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    troubles: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: troubles.append(message.text))
        page.goto(f"http://localhost:{server.server_port}/")
        told = page.wait_for_selector("#self-test[data-passed]")
        print(f"page: {told.inner_text()}; console messages: {troubles or 'none'}")
        if picture is not None:
            _draw(page)
            page.screenshot(path=picture, full_page=True)
        answers: list[int] = page.evaluate(
            """([values, shape]) => sardonyx.classify(new Float32Array(values), shape, "model")
            .then(({ answers }) => answers.map(({ index }) => index))""",
            [inputs.ravel().tolist(), list(inputs.shape)],
        )
        browser.close()
    server.shutdown()
    return answers


def _draw(page: Any) -> None:
    """Something with two legs."""
    page.get_by_role("button", name="Clear").click()
    box = page.locator("#picture").bounding_box()

    def place(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    page.locator("#pen").fill("40")
    for leg in (0.4, 0.6):
        page.mouse.move(*place(0.5, 0.12))
        page.mouse.down()
        page.mouse.move(*place(leg, 0.2), steps=4)
        page.mouse.move(*place(leg, 0.88), steps=8)
        page.mouse.up()
    page.wait_for_timeout(1500)


def _in_node(bundle: Path, name: str, inputs: Any, work: Path) -> list[int]:
    place = work / "node"
    place.mkdir(exist_ok=True)
    wanted = json.loads((bundle / "client" / "node" / "package.json").read_text())["dependencies"]
    (place / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
    subprocess.run(["npm", "install", "--silent", "--ignore-scripts"], cwd=place, check=True)
    (place / "answers.cjs").write_text(NODE)
    inputs.astype("<f4").tofile(place / "samples.bin")
    words = ["node", "answers.cjs", str((bundle / "model.onnx").absolute()), name, "samples.bin"]
    done = subprocess.run(
        [*words, *map(str, inputs.shape)], cwd=place, capture_output=True, text=True, check=True
    )
    answers: list[int] = json.loads(done.stdout)
    return answers


if __name__ == "__main__":
    main()
