"""The rows of a comparison as a text table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmlab.report.numbers import counted, duration, interval, significant

if TYPE_CHECKING:
    from vmlab.comparison import Comparison, Row

NONE = "–"

# Formats that people read as they are. Others are read by programs, for some of which a line break
# would end the row: there, every cell stays on one line.
MARKUP_OF_ONE_LINE = {"github", "jira", "orgtbl", "pipe"}

_WIDEST = {"adds": 24, "verdict": 13, "compile": 8}


def headers(comparison: Comparison) -> list[str]:
    ratio = f"ratio to {comparison.baseline}" if comparison.baseline else "ratio"
    return [
        "engine",
        "adds",
        "time",
        "ns per instruction",
        ratio,
        "verdict",
        "compile",
        "pays back after",
        "indirect jumps",
    ]


def cells(comparison: Comparison, row: Row) -> list[str]:
    """A row as text, one cell a header."""
    engine = row.engine
    if row.folded:
        verdict = "folded by the compiler"
    elif engine.unavailable is not None:
        verdict = "not available"
    elif engine.name == comparison.baseline:
        verdict = "baseline"
    else:
        verdict = row.verdict or NONE
    compiled = duration(engine.compile_seconds) if engine.compile_seconds else NONE
    if row.break_even is None:
        pays_back = NONE
    elif row.break_even == "never":
        pays_back = "never"
    else:
        pays_back = counted(row.break_even, "run")
    return [
        engine.name,
        engine.adds,
        NONE if row.seconds is None else duration(row.seconds),
        NONE
        if row.nanoseconds_per_instruction is None
        else significant(row.nanoseconds_per_instruction),
        NONE if row.ratio is None else interval(row.ratio),
        verdict,
        f"{compiled} (cached)" if engine.from_cache else compiled,
        pays_back,
        NONE if engine.indirect_jumps is None else f"{engine.indirect_jumps:,}",
    ]


def table(comparison: Comparison, format: str) -> str:
    """The table in one of `tabulate.tabulate_formats`. Raises ValueError on another."""
    import tabulate

    if format not in tabulate.tabulate_formats:
        known = ", ".join(tabulate.tabulate_formats)
        raise ValueError(f"no table format is called '{format}'; there are: {known}")
    names = headers(comparison)
    wraps = format in set(tabulate.multiline_formats) - MARKUP_OF_ONE_LINE
    return tabulate.tabulate(
        [cells(comparison, row) for row in comparison.rows],
        [_two_lines(name) for name in names] if wraps else names,
        tablefmt=format,
        disable_numparse=True,
        maxcolwidths=[_WIDEST.get(name) for name in names] if wraps else None,
        colalign=["left", "left", "right", "right", "left", "left", "right", "right", "right"],
    )


def _two_lines(header: str) -> str:
    """Broken at the space nearest to the middle."""
    spaces = [i for i, char in enumerate(header) if char == " "]
    if not spaces:
        return header
    middle = min(spaces, key=lambda i: abs(i - len(header) / 2))
    return f"{header[:middle]}\n{header[middle + 1 :]}"
