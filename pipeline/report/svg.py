"""From a matplotlib figure to SVG that can stand inside a page: the same bytes every time, no style of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .palette import to_variable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and takes the page's font
    "text.parse_math": False,  # a name with dollar signs is a name, not a formula
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "path.simplify": True,
}

_STYLE = re.compile(r'style="([^"]*)"')
_DECLARATION = re.compile(r"([a-z-]+): ([^;'()]+)$")
_SIZE = re.compile(r"[0-9.]+px")
_OUTER = re.compile(r"<svg [^>]*viewBox=\"([0-9. ]+)\"[^>]*>")
_STYLES = re.compile(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^<>]+>")
_REFERENCE = re.compile(r'(\bid="|url\(#|href="#)')
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def plot_settings() -> Iterator[None]:
    """Within the block, figures are made with the report's settings and nobody else's."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """Render a figure as an ``<svg>`` element.

    Matplotlib escapes every text; what is added here is escaped too. Its global style sheet is taken out, for it
    would style the page, and ids are made from ``name`` so that two figures share none.

    Args:
        figure: The figure, made within :func:`plot_settings`.
        name: A word for the figure, in letters.
        description: What it shows, for those who cannot see it.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    for pattern in (_COMMENT, _STYLES, _METADATA):
        text = pattern.sub("", text)
    outer = _OUTER.search(text)
    assert outer is not None
    opening = f'<svg viewBox="{outer[1]}" role="img" aria-label="{_escape(description)}">'
    # only tags are touched: whatever a name says between them stays as matplotlib has escaped it
    return opening + _TAG.sub(lambda tag: _adapt(tag[0], name), text[outer.end() :])


def _adapt(tag: str, name: str) -> str:
    """Give a tag's ids the figure's name and its colours the page's colours; styles become attributes of their own."""
    return _STYLE.sub(lambda style: _attributes(style[1]), _REFERENCE.sub(rf"\g<1>{name}-", tag))


def _attributes(style: str) -> str:
    """Attributes that say what a style says: the page's policy lets no style stand in a tag.

    The font's name is left out, so that text takes the page's font.
    """
    found: dict[str, str] = {}
    for declaration in style.split(";"):
        key, _, value = declaration.strip().partition(": ")
        size = _SIZE.search(value) if key == "font" else None
        if size is not None:
            found["font-size"] = size[0]
        elif key != "font-family" and _DECLARATION.match(declaration.strip()):
            found[key] = to_variable(value)
    return " ".join(f'{key}="{value}"' for key, value in found.items())


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
