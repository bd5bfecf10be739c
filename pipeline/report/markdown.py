"""A report as Markdown for a pull request. Whatever comes from a file stands in code, where nothing is interpreted.

Of the two kinds of code, a span holds one name and a fence holds sentences, line by line. What could end a span, a
table's cell or a fence, backticks and bars, is replaced by a sign that looks like it; controls and line breaks are gone
before (:mod:`sardonyx.core.safe_text`). Mentions, links and references in code are left alone by GitHub and GitLab.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ...core.safe_text import clean
from .formats import NOTHING, change, count, interval, milliseconds, score, size, times
from .headline import Figure, headline
from .model import Measured, RunReport, Stage, StageLatency

_NAME = 60
_LINE = 200
_ROWS = 100
"""Lines of one part that are shown; a comment on GitHub holds 65,536 characters."""

_HARMLESS = re.compile(r"[A-Za-z]+(?: [A-Za-z0-9]+)*")
_LOOKALIKES = str.maketrans({"`": "ˋ", "|": "¦"})


def render_markdown(report: RunReport) -> str:
    """Render a report as Markdown: the headline, the stages, what was left alone by reason, and folded details.

    Args:
        report: The report.

    Returns:
        The text, which ends with a line break.
    """
    parts = [
        f"### Sardonyx: {code(report.title)}",
        _headline(report),
        _stages(report),
        _reasons(report),
        *_details(report),
    ]
    return "\n\n".join(part for part in parts if part).replace("\u00a0", " ") + "\n"


def code(text: str) -> str:
    """A name as a code span; nothing in it is Markdown, HTML, a link or a mention.

    Args:
        text: The name, which may be anything.
    """
    shown = clean(text, _NAME).translate(_LOOKALIKES)
    # A span of blanks is none; the two blanks at the ends of a span are not part of it.
    return f"` {shown} `" if shown.strip() != shown else f"`{shown}`" if shown else NOTHING


def fence(lines: Iterable[str]) -> str:
    """Sentences as a fenced block, one a line; the first hundred of them.

    Args:
        lines: The sentences, which may hold anything.
    """
    shown = [clean(line, _LINE).translate(_LOOKALIKES) for line in lines]
    more = [f"... and {len(shown) - _ROWS} more in report.json"] if len(shown) > _ROWS else []
    return "\n".join(["```text", *shown[:_ROWS], *more, "```"])


def _words(text: str) -> str:
    """A label as it is where it is words, else as a code span."""
    return text if _HARMLESS.fullmatch(text) and len(text) <= _NAME else code(text)


def _headline(report: RunReport) -> str:
    figures = "\n".join(f"- {_figure(figure)}" for figure in headline(report))
    if report.baseline is None or report.result is None or not figures:
        return figures
    return f"{code(report.result.name)} against {code(report.baseline.name)}:\n\n{figures}"


def _figure(figure: Figure) -> str:
    details = ", ".join(part for part in (figure.detail, figure.certainty) if part)
    return f"**{figure.value}** {_words(figure.label)} ({details})"


def _stages(report: RunReport) -> str:
    batches = sorted({row.batch for stage in report.stages for row in stage.latency})
    metric = code(report.metric)
    titles = ["stage", metric, f"drop of {metric}", *[f"batch {b}" for b in batches], "size", "parameters"]
    rows = [_stage(report, stage, batches) for stage in report.stages]
    return _table(titles, rows) if rows else ""


def _stage(report: RunReport, stage: Stage, batches: Sequence[int]) -> list[str]:
    share = report.is_share
    name = code(stage.name)
    return [
        f"**{name}**" if stage is report.result else name,
        _with_interval(
            stage.accuracy,
            "" if stage.accuracy is None else score(stage.accuracy.value, is_share=share),
            share,
        ),
        _with_interval(
            stage.drop, "" if stage.drop is None else change(stage.drop.value, is_share=share), share
        ),
        *[_latency(next((row for row in stage.latency if row.batch == b), None)) for b in batches],
        size(stage.size_bytes),
        count(stage.params),
    ]


def _with_interval(measured: Measured | None, text: str, share: bool) -> str:
    ends = interval(measured, is_share=share)
    return f"{text} ({ends})" if ends else text or NOTHING


def _latency(row: StageLatency | None) -> str:
    if row is None:
        return NOTHING
    factors = {"faster": times(row.speed_ratio.value), "slower": times(row.speed_ratio.value)}
    factor = factors.get(row.verdict, "no difference" if row.verdict == "no difference" else "")
    return f"{milliseconds(row.median_ms.value)} {factor}".rstrip()


def _reasons(report: RunReport) -> str:
    tally = Counter((item.stage, item.code) for item in report.skipped)
    if not tally:
        return ""
    rows = [[code(reason), code(stage), str(number)] for (stage, reason), number in tally.most_common(_ROWS)]
    more = f"\n\n{len(tally) - _ROWS} more reasons are in report.json." if len(tally) > _ROWS else ""
    return f"Left whole or in float:\n\n{_table(('reason', 'stage', 'nodes'), rows, names=2)}{more}"


def _details(report: RunReport) -> Iterator[str]:
    decided = [f"{stage.name}: {text}" for stage in report.stages for text in (*stage.notes, *stage.warnings)]
    left = [f"{item.stage}: {item.node}: {item.text}" for item in report.skipped]
    facts = [
        f"{key}: {text}" for part in (report.environment, report.provenance) for key, text in part.items()
    ]
    yield from _folded("Decisions and warnings", decided)
    yield from _folded("Every node left alone, and why", left)
    yield from _folded("Provenance", [*([report.command] if report.command else []), *facts])


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A part that opens on a click; its title is ours, and names stand in a fence."""
    if lines:
        yield f"<details><summary>{title} ({len(lines)})</summary>\n\n{fence(lines)}\n\n</details>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 1) -> str:
    """A table, its first columns being names; no cell holds a bar: spans are free of them, and numbers have none."""
    lines = [list(titles), ["---" if i < names else "--:" for i in range(len(titles))], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
