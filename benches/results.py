"""`benches/RESULTS.md`: parts that are measured apart, each written by what measures it."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
TRIED = Path(__file__).with_name("TRIED.md")

PARTS = (
    "Figures",
    "Targets",
    "Memory",
    "The server's health",
    "Distance",
    "Cluster",
    "Not noticed",
    "The GIL",
    "Spark",
    "Landing",
    "The decoder alone",
)
"""In this order. Behind them comes what stands in `TRIED.md`, which is written by hand."""
INTRODUCTION = "# Benchmark\n\nWritten by `make bench`; each part says when and where."
HEADING = "## "


def write(part: str, text: str) -> None:
    """Put a part in its place, and leave the others as they are."""
    parts = dict.fromkeys(PARTS, "Not measured.") | written() | {part: text.strip()}
    parts["What was tried"] = TRIED.read_text(encoding="utf-8").strip()
    sections = (f"{HEADING}{heading}\n\n{body}" for heading, body in parts.items())
    RESULTS.write_text("\n\n".join((INTRODUCTION, *sections)) + "\n", encoding="utf-8")


def written() -> dict[str, str]:
    """Return the parts that are there."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    sections = (section.partition("\n") for section in f"\n{text}".split(f"\n{HEADING}")[1:])
    found = {heading: body.strip() for heading, _, body in sections}
    return {part: found[part] for part in PARTS if part in found}


def machine() -> str:
    """Say when and where it is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{datetime.now(UTC):%Y-%m-%d}; {cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GB; "
        f"{platform.system()}, Python {platform.python_version()}"
    )


def cpu_model() -> str:
    """Return the processor's name as the kernel gives it."""
    for text in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = text.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "an unnamed processor"


def bullets(texts: Sequence[str]) -> str:
    """Format a Markdown list."""
    return "\n".join(f"- {text}" for text in texts)


def table(rows: Sequence[Sequence[str]], text_columns: Sequence[str]) -> str:
    """Format a Markdown table, whose first row are its headings."""
    headings, *lines = rows
    rule = [":--" if heading in text_columns else "--:" for heading in headings]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *lines))
