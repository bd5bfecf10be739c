"""``sardonyx doctor``: what this machine can do, and what to install for the rest."""

from __future__ import annotations

from .flags import Flags
from .text import table


def doctor(flags: Flags) -> None:
    """Show what this machine can do.

    The CPU's instructions, execution providers, versions, limits and settings that distort what is measured, and the
    command that brings what is missing.
    """
    from ..pipeline import diagnose, plain

    found = diagnose()
    console = flags.console
    console.say(f"sardonyx {found.version}, Python {found.python}, {found.platform}")
    console.say(
        f"CPU: {found.cpus} cores; {' '.join(found.cpu_features) or 'no vector flags that could be read'}"
    )
    console.say(f"target auto is {found.target}: {'; '.join(found.target_reasons)}")
    there = [p.short for p in found.providers if p.is_available]
    console.say(f"execution providers: {', '.join(there) or 'none: onnxruntime is not installed'}")
    for provider in found.providers:
        if not provider.is_available:
            console.detail(f"  not here: {provider.short}; {provider.remedy}")
    console.say()
    rows = [(p.name, p.version or "missing", p.needed, p.extra or "", p.purpose) for p in found.packages]
    console.show(table(("package", "version", "needed", "extra", "for"), rows))
    for remedy in found.remedies:
        console.say(remedy)
    console.say()
    for finding in found.findings:
        mended = f"; {finding.command}" if finding.command else ""
        console.say(f"{'ok     ' if finding.is_ok else 'warning'}  {finding.subject}: {finding.text}{mended}")
    console.document({"verb": "doctor", **plain(found)})
