"""Which client code goes into a bundle, and the one in Python."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from bundles import CASES, write_bundle, write_case
from sardonyx.core.errors import UsageError
from sardonyx.deploy.clients import CLIENTS, clients_of
from sardonyx.deploy.platforms import PLATFORMS

SOURCES = Path(str(files("sardonyx.deploy"))) / "client_sources"
LINE = re.compile(r"self-test: (\d) of 6 samples, largest difference (\d\.\de[+-]\d+|inf)")


def run_python(bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(bundle / "client/python/client.py"), *words]
    return subprocess.run(command, cwd="/", capture_output=True, check=False, text=True, timeout=60)


def test_every_platform_has_its_clients() -> None:
    for platform in PLATFORMS.values():
        found = clients_of(platform.clients)
        assert found
        assert list(found) == sorted(found)
        assert all(found.values())


def test_the_page_lies_where_servers_look_for_it() -> None:
    assert {"index.html", "app.js", "style.css", "sw.js"} <= clients_of(["web"]).keys()


def test_each_source_is_in_the_table() -> None:
    named = {source for client in CLIENTS.values() for source in client.values()}
    kept = {
        p.relative_to(SOURCES).as_posix()
        for p in SOURCES.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert kept - named == {"web/LICENSE.onnxruntime"}
    assert named <= kept


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(UsageError, match="no client fortran"):
        clients_of(["python", "fortran"])


@pytest.mark.parametrize("name", CASES)
def test_the_python_client_tests_itself(tmp_path: Path, name: str) -> None:
    bundle, case = write_case(tmp_path / "bundle", name, ["python"])
    done = run_python(bundle)
    found = LINE.match(done.stdout)
    assert found, done.stderr
    assert int(found[1]) == case.passed
    assert done.returncode == (0 if case.passed == 6 else 1)
    assert "ms for a batch of 2" in done.stdout


def test_the_python_client_runs_another_model_of_the_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    done = run_python(bundle, "--model", "reference.onnx", "--threads", "1", "--bundle", str(bundle))
    assert done.returncode == 1
    assert "self-test: 0 of 6 samples" in done.stdout


def test_the_python_client_refuses_what_is_not_there(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    assert run_python(bundle, "--ep", "abacus").returncode == 2
    done = run_python(bundle, "--model", "other.onnx")
    assert done.returncode == 1
    assert "other.onnx" in done.stderr


def test_the_python_client_notices_another_shape(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", outputs=np.zeros((6, 4), np.float32))
    document = (bundle / "manifest.json").read_text("utf8")
    narrow = document.replace(
        '"shape": [\n          6,\n          4\n', '"shape": [\n          12,\n          2\n'
    )
    assert narrow != document
    (bundle / "manifest.json").write_text(narrow, "utf8")
    done = run_python(bundle)
    assert done.returncode == 1
    assert "output logits is float32 (6, 4), not float32 (12, 2)" in done.stderr
