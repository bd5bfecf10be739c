"""Where the runtime of a page comes from, and what is refused on the way."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from sardonyx.core.errors import EnvironmentFault, InputError
from sardonyx.deploy import web_runtime as module
from sardonyx.deploy.web_runtime import WEB_RUNTIME, check_integrity, fetch_package, web_runtime

MODULE = b"/*!\n * ONNX Runtime Web v1.30.0\n */\nexport default {};\n"
FILES = {"ort.wasm.bundle.min.mjs": MODULE, "ort-wasm-simd-threaded.wasm": b"\0asm"}
PLACES = {
    "runtime/ort.wasm.bundle.min.js": MODULE,
    "runtime/ort-wasm-simd-threaded.wasm": b"\0asm",
}


def packed(**changes: bytes | tarfile.TarInfo) -> bytes:
    """A package as npm packs it, with a file too many."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {**FILES, "ort.all.mjs": b"more", **changes}.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def integrity(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no npm."""
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "cache" / "npm"


def expect(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a package for the one that is wanted."""
    monkeypatch.setattr(module, "WEB_RUNTIME", replace(WEB_RUNTIME, integrity=integrity(content)))


def put_npm(tmp_path: Path, script: str) -> None:
    """A program that is called as npm is."""
    program = tmp_path / "bin" / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n", "utf8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    found = web_runtime(tmp_path)
    assert found.version == "1.30.0"
    assert {path: found.files[path] for path in PLACES} == PLACES
    assert b"MIT License" in found.files["runtime/LICENSE"]


def test_a_folder_without_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not hold ort\.wasm\.bundle\.min\.mjs"):
        web_runtime(tmp_path)


def test_another_module_is_refused(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(InputError, match="not of onnxruntime-web"):
        web_runtime(tmp_path)


def test_the_cache_is_enough(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    (cache / WEB_RUNTIME.file).write_bytes(packed())
    expect(packed(), monkeypatch)
    assert web_runtime().files.items() >= PLACES.items()


def test_another_file_in_the_cache_is_refused(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / WEB_RUNTIME.file).write_bytes(packed())
    with pytest.raises(EnvironmentFault, match=r"is not onnxruntime-web 1\.30\.0: its hash is sha512-"):
        web_runtime()


def test_without_npm_the_command_is_told(cache: Path) -> None:
    with pytest.raises(EnvironmentFault, match="npm is not installed") as caught:
        web_runtime()
    assert caught.value.exit_code == 5
    assert f"npm pack onnxruntime-web@1.30.0 --pack-destination {cache}" in caught.value.remedy


@pytest.mark.skipif(os.name == "nt", reason="npm is a shell script here")
def test_npm_fills_the_cache_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package").write_bytes(packed())
    put_npm(tmp_path, f'echo "$2" >> {tmp_path}/asked; /bin/cp {tmp_path}/package "$4/{WEB_RUNTIME.file}"')
    expect(packed(), monkeypatch)
    assert web_runtime() == web_runtime()
    assert (tmp_path / "asked").read_text("utf8") == "onnxruntime-web@1.30.0\n"
    assert [path.name for path in cache.iterdir()] == [WEB_RUNTIME.file]


@pytest.mark.skipif(os.name == "nt", reason="npm is a shell script here")
def test_what_npm_fetches_is_held_to_its_hash(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "package").write_bytes(packed())
    put_npm(tmp_path, f'/bin/cp {tmp_path}/package "$4/{WEB_RUNTIME.file}"')
    with pytest.raises(EnvironmentFault, match="what npm fetched as onnxruntime-web@1"):
        fetch_package(WEB_RUNTIME)
    assert not cache.exists()


@pytest.mark.skipif(os.name == "nt", reason="npm is a shell script here")
@pytest.mark.parametrize(
    ("script", "told"), [("echo no network >&2; exit 1", "no network"), ("exit 0", "No such file")]
)
def test_a_failure_of_npm_is_told(cache: Path, tmp_path: Path, script: str, told: str) -> None:
    put_npm(tmp_path, script)
    with pytest.raises(EnvironmentFault, match=f"npm could not fetch onnxruntime-web@1.30.0: .*{told}"):
        fetch_package(WEB_RUNTIME)


def test_a_link_is_no_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tarfile.TarInfo("package/dist/ort-wasm-simd-threaded.wasm")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    content = packed(**{"ort-wasm-simd-threaded.wasm": link})
    cache.mkdir(parents=True)
    (cache / WEB_RUNTIME.file).write_bytes(content)
    expect(content, monkeypatch)
    with pytest.raises(EnvironmentFault, match=r"has no file ort-wasm-simd-threaded\.wasm"):
        web_runtime()


def test_the_right_hash_passes_and_another_does_not() -> None:
    package = replace(WEB_RUNTIME, integrity=integrity(b"content"))
    check_integrity(package, b"content", "here")
    with pytest.raises(EnvironmentFault, match="here is not"):
        check_integrity(package, b"contents", "here")
