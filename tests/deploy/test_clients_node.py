"""The client for Node.js, with onnxruntime-node where it is in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from bundles import CASES, write_bundle, write_case
from npm_packages import NODE_COMMON, NODE_RUNTIME, unpacked


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder node_modules with the runtime for this machine."""
    if shutil.which("node") is None:
        pytest.skip("no Node.js is installed: apt-get install nodejs")
    folder = tmp_path_factory.mktemp("node") / "node_modules"
    folder.mkdir()
    for package in (NODE_RUNTIME, NODE_COMMON):
        (folder / package.name).symlink_to(unpacked(package), target_is_directory=True)
    return folder


def run_node(bundle: Path, modules: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (bundle / "client/node/node_modules").symlink_to(modules, target_is_directory=True)
    command = ["node", "--preserve-symlinks", "client.mjs", *words]
    return subprocess.run(
        command, cwd=bundle / "client/node", capture_output=True, check=False, text=True, timeout=60
    )


@pytest.mark.parametrize("name", CASES)
def test_it_tests_itself(tmp_path: Path, modules: Path, name: str) -> None:
    bundle, case = write_case(tmp_path / "bundle", name, ["node"])
    done = run_node(bundle, modules)
    assert f"self-test: {case.passed} of 6 samples, largest difference " in done.stdout, done.stderr
    assert done.returncode == (0 if case.passed == 6 else 1)


def test_it_runs_another_model_of_the_bundle(tmp_path: Path, modules: Path) -> None:
    done = run_node(write_bundle(tmp_path / "bundle", clients=["node"]), modules, "--model", "reference.onnx")
    assert "self-test: 0 of 6 samples" in done.stdout
    assert done.returncode == 1


def test_it_says_what_is_missing(tmp_path: Path, modules: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", clients=["node"])
    (bundle / "self_test/inputs.0.bin").unlink()
    done = run_node(bundle, modules)
    assert done.returncode == 1
    assert "inputs.0.bin" in done.stderr


def test_it_pins_the_version_that_was_tested(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", clients=["node"])
    wanted = json.loads((bundle / "client/node/package.json").read_text("utf8"))["dependencies"]
    assert wanted == {NODE_RUNTIME.name: NODE_RUNTIME.version}
