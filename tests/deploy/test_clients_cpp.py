"""The client in C++: built with CMake and run, where there are headers and a library of ONNX Runtime."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import CASES, write_bundle, write_case
from npm_packages import HEADERS, LIBRARY, NATIVE_RUNTIME, unpacked
from sardonyx.deploy.clients import clients_of


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ONNXRUNTIME_ROOT``, or a folder like it from a package."""
    if given := os.environ.get("ONNXRUNTIME_ROOT"):
        return Path(given)
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip(
            "ONNXRUNTIME_ROOT is not set, and the package with headers has a library for Linux on x86-64"
        )
    place = unpacked(NATIVE_RUNTIME)
    root = tmp_path_factory.mktemp("onnxruntime")
    (root / "include").symlink_to(place / HEADERS, target_is_directory=True)
    (root / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (root / "lib" / name).symlink_to(place / LIBRARY)
    return root


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    """The client, built without a warning."""
    missing = [tool for tool in ("cmake", "c++") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; apt-get install cmake g++")
    folder = tmp_path_factory.mktemp("cpp")
    for path, content in clients_of(["cpp"]).items():
        (folder / Path(path).name).write_bytes(content)
    environment = {**os.environ, "ONNXRUNTIME_ROOT": str(runtime), "CXXFLAGS": "-Werror -Wconversion"}
    for words in (["-S", folder, "-B", folder / "build"], ["--build", folder / "build"]):
        done = subprocess.run(
            ["cmake", *words], env=environment, capture_output=True, check=False, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "client"


def run_cpp(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*words], capture_output=True, check=False, text=True, timeout=60)


@pytest.mark.parametrize("name", CASES)
def test_it_tests_itself(tmp_path: Path, program: Path, name: str) -> None:
    bundle, case = write_case(tmp_path / "bundle", name, ["cpp"])
    done = run_cpp(program, bundle)
    assert f"self-test: {case.passed} of 6 samples, largest difference " in done.stdout, done.stderr
    assert done.returncode == (0 if case.passed == 6 else 1)


def test_it_runs_another_model_of_the_bundle(tmp_path: Path, program: Path) -> None:
    done = run_cpp(program, write_bundle(tmp_path / "bundle"), "reference.onnx")
    assert (done.returncode, done.stdout[:25]) == (1, "self-test: 0 of 6 samples")


@pytest.mark.parametrize(
    ("content", "told"),
    [("{", "no JSON at byte 1"), ("[" * 1000, "no JSON at byte 65"), ("{}", "has no self_test")],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, program: Path, content: str, told: str) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    (bundle / "manifest.json").write_text(content, "utf8")
    done = run_cpp(program, bundle)
    assert done.returncode == 1
    assert told in done.stderr


def test_a_short_file_is_refused(tmp_path: Path, program: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    with open(bundle / "self_test/inputs.0.bin", "r+b") as file:
        file.truncate(10)
    done = run_cpp(program, bundle)
    assert done.returncode == 1
    assert "inputs.0.bin has another size" in done.stderr
