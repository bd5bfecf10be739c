"""The client in Kotlin: compiled against the classes for Android, and run against a stand-in for them.

The stand-in, in ``tests/android``, multiplies with a matrix; what is tested is that the client reads, cuts, feeds and
compares as it should. Whatever it calls has the signature of the real classes, against which it is compiled.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bundles import CASES, write_bundle, write_case
from npm_packages import CLASSES, KOTLIN, NATIVE_RUNTIME, unpacked
from onnx import numpy_helper
from sardonyx.deploy.clients import clients_of

JSON = Path("/usr/share/java/com.android.json.jar")
HERE = Path(__file__).parents[1] / "android"
# The compiler is a short-lived program: a simple collector and few optimisations halve its time.
QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx1g"]


@pytest.fixture(scope="module")
def compiler() -> Path:
    missing = [tool for tool in ("java", "javac") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; apt-get install default-jdk-headless")
    if not JSON.is_file():
        pytest.skip("org.json is not installed: apt-get install libandroid-json-java")
    return unpacked(KOTLIN) / "lib"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, compiler: Path) -> list[str]:
    """The command that runs the client."""
    folder = tmp_path_factory.mktemp("kotlin")
    with zipfile.ZipFile(unpacked(NATIVE_RUNTIME) / CLASSES) as archive:
        (folder / "classes.jar").write_bytes(archive.read("classes.jar"))
    source = folder / "Classifier.kt"
    source.write_bytes(clients_of(["kotlin"])["client/kotlin/Classifier.kt"])
    kotlin = [
        "java",
        *QUICK,
        "-cp",
        compiler / "kotlin-compiler.jar",
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
    ]
    place = ["-kotlin-home", compiler.parent, "-no-reflect", "-Werror", "-d", folder / "out"]
    done = run(*kotlin, *place, "-cp", f"{folder / 'classes.jar'}:{JSON}", source, HERE / "Main.kt")
    assert done.returncode == 0, done.stderr
    done = run("javac", "-d", folder / "stand-in", *sorted(HERE.rglob("*.java")))
    assert done.returncode == 0, done.stderr
    parts = (folder / "stand-in", folder / "out", JSON, compiler / "kotlin-stdlib.jar")
    return ["java", *QUICK, "-cp", os.pathsep.join(map(str, parts)), "MainKt"]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, check=False, text=True, timeout=300)


def put_matrix(bundle: Path) -> None:
    """In the place of the model, the weights that it multiplies with."""
    import onnx

    stored, scale = (numpy_helper.to_array(t) for t in onnx.load(bundle / "model.onnx").graph.initializer[1:])
    (bundle / "model.onnx").write_bytes((stored.astype(np.float32) * scale).astype("<f4").tobytes())


@pytest.mark.parametrize("name", CASES)
def test_it_tests_itself(tmp_path: Path, program: list[str], name: str) -> None:
    bundle, case = write_case(tmp_path / "bundle", name, ["kotlin"])
    put_matrix(bundle)
    done = run(*program, bundle)
    assert f"self-test: {case.passed} of 6 samples, largest difference " in done.stdout, done.stderr
    assert done.returncode == (0 if case.passed == 6 else 1)


@pytest.mark.parametrize(
    ("provider", "told"), [("NNAPI", "nnapi"), ("XNNPACK", "xnnpack {intra_op_num_threads=1}")]
)
def test_a_provider_can_be_chosen(tmp_path: Path, program: list[str], provider: str, told: str) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    put_matrix(bundle)
    done = run(*program, bundle, provider)
    assert f"provider {told}\n" in done.stderr
    assert done.stdout.startswith("first: top\nself-test: 6 of 6 samples")


def test_another_type_is_refused(tmp_path: Path, program: list[str]) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    put_matrix(bundle)
    document = (bundle / "manifest.json").read_text("utf8")
    (bundle / "manifest.json").write_text(document.replace('"float32"', '"uint32"'), "utf8")
    done = run(*program, bundle)
    assert done.returncode != 0
    assert "uint32, which Java does not have" in done.stderr
