"""The files of onnxruntime-web that a bundle carries, so that its page works without a network.

They come from a folder, from the cache, or from the npm registry by way of npm. What is fetched is held to the hash
that is written here, and single files are read out of the package: nothing of it is unpacked or run.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from ..core.cache import cache_folder
from ..core.errors import EnvironmentFault, InputError
from ..core.files import temporary_folder, write_atomic


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """One version of a package of the npm registry.

    Attributes:
        name: Its name.
        version: Its version.
        integrity: Hash of its file as npm states it: ``sha512-`` and base64.
    """

    name: str
    version: str
    integrity: str

    @property
    def file(self) -> str:
        """What ``npm pack`` calls the file."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


WEB_RUNTIME = NpmPackage(
    name="onnxruntime-web",
    version="1.30.0",
    integrity="sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
"""The version that the client of the web was tested with."""

# All that the WebAssembly provider needs. A module is renamed, since many servers do not know what .mjs is.
_FILES: Mapping[str, str] = MappingProxyType(
    {
        "ort.wasm.bundle.min.mjs": "runtime/ort.wasm.bundle.min.js",
        "ort-wasm-simd-threaded.wasm": "runtime/ort-wasm-simd-threaded.wasm",
    }
)
_LICENCE = "runtime/LICENSE"
_MAX_FILE_BYTES = 64 << 20
_TIMEOUT_S = 300


@dataclass(frozen=True)
class WebRuntime:
    """The runtime of a page.

    Attributes:
        version: Version of onnxruntime-web.
        files: The content of each path in the bundle, by path; the licence is among them.
    """

    version: str
    files: Mapping[str, bytes]


def web_runtime(folder: Path | None = None) -> WebRuntime:
    """Find the files of onnxruntime-web.

    Args:
        folder: Where they lie, such as ``node_modules/onnxruntime-web/dist``; otherwise they come from the cache, and
            are fetched into it by npm where it has none.

    Raises:
        InputError: The folder does not hold them.
        EnvironmentFault: They are not in the cache and cannot be fetched, or are not what they should be.
    """
    found = _from_folder(folder) if folder is not None else _from_package(fetch_package(WEB_RUNTIME))
    told = re.search(rb"ONNX Runtime Web v(\d+\.\d+\.\d+\S*)", found["ort.wasm.bundle.min.mjs"][:500])
    if told is None:
        raise InputError(
            f"{folder} holds a file ort.wasm.bundle.min.mjs that is not of onnxruntime-web",
            remedy="name the folder dist of the package onnxruntime-web",
        )
    placed = {place: found[name] for name, place in _FILES.items()}
    licence = (files(__package__) / "client_sources" / "web" / "LICENSE.onnxruntime").read_bytes()
    return WebRuntime(told[1].decode(), {**placed, _LICENCE: licence})


def fetch_package(package: NpmPackage) -> bytes:
    """The file of a package, a gzipped tar archive: from the cache, or fetched into it.

    Args:
        package: Which.

    Raises:
        EnvironmentFault: It cannot be fetched, or its hash is another.
    """
    path = cache_folder() / "npm" / package.file
    if path.is_file():
        content = path.read_bytes()
        check_integrity(package, content, path)
        return content
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentFault(
            f"{package.name} {package.version} is not in the cache, and npm is not installed",
            remedy=_by_hand(package, path.parent),
        )
    content = _packed(npm, package, path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, content)
    return content


def check_integrity(package: NpmPackage, content: bytes, origin: Path | str) -> None:
    """Hold a package's file to its hash.

    Args:
        package: What it should be.
        content: Its bytes.
        origin: Where it came from, for the message.

    Raises:
        EnvironmentFault: The hash is another.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != package.integrity:
        raise EnvironmentFault(
            f"{origin} is not {package.name} {package.version}: its hash is {found}, not {package.integrity}",
            remedy="delete it if it is in the cache, and fetch it again from a registry that you trust",
        )


def _packed(npm: str, package: NpmPackage, place: Path) -> bytes:
    """What npm fetches, checked."""
    wanted = f"{package.name}@{package.version}"
    with temporary_folder() as folder:
        words = [npm, "pack", wanted, "--pack-destination", str(folder), "--ignore-scripts", "--silent"]
        try:
            subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
            content = (folder / package.file).read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise EnvironmentFault(
                f"npm could not fetch {wanted}: {told[-1] if told else 'it does not say why'}",
                remedy=_by_hand(package, place),
            ) from error
    check_integrity(package, content, f"what npm fetched as {wanted}")
    return content


def _by_hand(package: NpmPackage, place: Path) -> str:
    return f"run, where there is npm: npm pack {package.name}@{package.version} --pack-destination {place}"


def _from_folder(folder: Path) -> Mapping[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in _FILES}
    except OSError as error:
        raise InputError(
            f"{folder} does not hold {Path(str(error.filename)).name}",
            remedy="name the folder dist of the package onnxruntime-web",
        ) from error


def _from_package(content: bytes) -> Mapping[str, bytes]:
    """The named files of a package, plain files of reasonable size only."""
    names = {f"package/dist/{name}": name for name in _FILES}
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for member in archive:
            if member.name in names and member.isreg() and member.size <= _MAX_FILE_BYTES:
                file = archive.extractfile(member)
                found[names[member.name]] = file.read() if file is not None else b""
    if missing := _FILES.keys() - found.keys():
        raise EnvironmentFault(
            f"the package {WEB_RUNTIME.file} has no file {min(missing)}",
            remedy="name a folder that has it instead",
        )
    return found
