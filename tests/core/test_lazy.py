"""Names that are loaded when they are first used."""

from __future__ import annotations

import pytest
from sardonyx.core import lazy
from sardonyx.core.errors import MissingExtraError

HOMES = {"UsageError": "errors", "Nothing": "no_such_module"}


def test_a_name_comes_from_its_home() -> None:
    assert lazy.load_name("sardonyx.core", HOMES, "UsageError").__name__ == "UsageError"


@pytest.mark.parametrize(
    ("name", "optional", "error"),
    [
        ("Other", (), AttributeError),
        ("Nothing", (), ModuleNotFoundError),
        ("Nothing", {"torch"}, ModuleNotFoundError),
        ("Nothing", {"sardonyx.core.no_such_module"}, MissingExtraError),
    ],
)
def test_what_is_not_there(name: str, optional: set[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        lazy.load_name("sardonyx.core", HOMES, name, optional=optional)
