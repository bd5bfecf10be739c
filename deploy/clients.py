"""Which client code goes into a bundle: an explicit table of the files in ``client_sources``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType

from ..core.errors import UsageError

CLIENTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "python": {"client/python/client.py": "python/client.py"},
        # At the root, so that any server of static files serves the page and what it reads.
        "web": {
            "index.html": "web/index.html",
            "style.css": "web/style.css",
            "app.js": "web/app.js",
            "bundle.js": "web/bundle.js",
            "model.js": "web/model.js",
            "picture.js": "web/picture.js",
            "sw.js": "web/sw.js",
        },
        "node": {
            "client/node/client.mjs": "node/client.mjs",
            "client/node/bundle.js": "web/bundle.js",
            "client/node/package.json": "node/package.json",
        },
        "cpp": {
            "client/cpp/CMakeLists.txt": "cpp/CMakeLists.txt",
            "client/cpp/main.cpp": "cpp/main.cpp",
            "client/cpp/json.h": "cpp/json.h",
        },
        "kotlin": {
            "client/kotlin/Classifier.kt": "kotlin/Classifier.kt",
            "client/kotlin/build.gradle.kts": "kotlin/build.gradle.kts",
        },
        "swift": {
            "client/swift/Classifier.swift": "swift/Classifier.swift",
            "client/swift/Package.swift": "swift/Package.swift",
            "client/swift/README.md": "swift/README.md",
        },
    }
)
"""For each client the path in the bundle and the file that it is a copy of."""


def clients_of(clients: Sequence[str]) -> Mapping[str, bytes]:
    """The files of clients, as they lie in a bundle.

    Args:
        clients: Names in :data:`CLIENTS`.

    Returns:
        The content of each path in the bundle, by path.

    Raises:
        UsageError: There is no such client.
    """
    unknown = [name for name in clients if name not in CLIENTS]
    if unknown:
        raise UsageError(
            f"there is no client {', '.join(unknown)}", remedy=f"choose from {', '.join(CLIENTS)}"
        )
    sources = files(__package__) / "client_sources"
    named = {path: source for name in clients for path, source in CLIENTS[name].items()}
    return {path: sources.joinpath(*source.split("/")).read_bytes() for path, source in sorted(named.items())}
