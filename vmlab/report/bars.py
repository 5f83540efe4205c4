"""The same pictures as text, for terminals: in blocks of Unicode, or in ASCII."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vmlab.report.numbers import significant
from vmlab.report.parts import Part, bounded

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FILLS = "█░▓▒▚▤▣▥◆○"
MARKS = _EIGHTHS + _FILLS  # what an encoding must have for these
_ASCII_FILLS = "#.=+o-%:*~"
_LEAST_COLUMNS = 10


def waterfall(
    rungs: Sequence[Part], beside: Sequence[Part] = (), *, width: int, ascii_only: bool
) -> str:
    """Like `plots.waterfall`, in lines of at most `width` columns if they can be that short."""
    spans, end = [], 0.0
    for part in rungs:
        spans.append((end, end + part.value))
        end += part.value
    spans += [(0.0, part.value) for part in beside]
    parts = [*rungs, *beside]
    texts = [bounded(part, signed=0 < row < len(rungs)) for row, part in enumerate(parts)]
    columns = _columns([part.label for part in parts], texts, width)
    if columns < _LEAST_COLUMNS:
        texts = [text.partition(" (")[0] for text in texts]
        columns = max(_LEAST_COLUMNS, _columns([part.label for part in parts], texts, width))
    least = min(0.0, *map(min, spans))
    scale = columns / ((max(map(max, spans)) - least) or 1.0)
    bars = [
        _bar((start - least) * scale, (stop - least) * scale, ascii_only) for start, stop in spans
    ]
    return _lines([part.label for part in parts], bars, texts, columns)


def stacked(rows: Sequence[tuple[str, Sequence[Part]]], *, width: int, ascii_only: bool) -> str:
    """Like `plots.stacked`: parts below zero are to the left of it, the number is the sum."""
    labels = list(dict.fromkeys(part.label for _, parts in rows for part in parts))
    marks = _ASCII_FILLS if ascii_only else _FILLS
    fills = {label: marks[i % len(marks)] for i, label in enumerate(labels)}
    names = [name for name, _ in rows]
    sums = [significant(sum(part.value for part in parts)) for _, parts in rows]
    columns = max(_LEAST_COLUMNS, _columns(names, sums, width))
    left = max(-sum(min(part.value, 0.0) for part in parts) for _, parts in rows)
    right = max(sum(max(part.value, 0.0) for part in parts) for _, parts in rows)
    scale = columns / ((left + right) or 1.0)
    zero = round(left * scale)
    bars = []
    for _, parts in rows:
        below = _stack([p for p in parts if p.value < 0], fills, scale)
        above = _stack([p for p in parts if p.value >= 0], fills, scale)
        bars.append(below[::-1].rjust(zero) + above)
    key = "  ".join(f"{fill} {label}" for label, fill in fills.items())
    return f"{_lines(names, bars, sums, columns)}\n{key}"


def _columns(labels: Sequence[str], texts: Sequence[str], width: int) -> int:
    """What is left for bars between labels and numbers."""
    return width - max(map(len, labels)) - max(map(len, texts)) - 4


def _lines(labels: Sequence[str], bars: Sequence[str], texts: Sequence[str], columns: int) -> str:
    first, last = max(map(len, labels)), max(map(len, texts))
    return "\n".join(
        f"{label:{first}}  {bar:{columns}}  {text:>{last}}"
        for label, bar, text in zip(labels, bars, texts, strict=True)
    )


def _bar(start: float, stop: float, ascii_only: bool) -> str:
    """From one column to another. One that goes back, since it saves, is filled lightly."""
    if stop < start:
        first = min(round(stop), math.ceil(start) - 1)
        return " " * first + ("-" if ascii_only else "░") * max(1, round(start) - first)
    first = min(round(start), math.ceil(stop) - 1) if stop > 0 else 0
    if ascii_only:
        return " " * first + "#" * max(1, round(stop) - first)
    eighths = max(1, round((stop - first) * 8))
    return (" " * first + "█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()


def _stack(parts: Sequence[Part], fills: dict[str, str], scale: float) -> str:
    """Outwards from zero. Rounding the ends, not the parts, keeps the whole as long as it is."""
    bar, end = "", 0.0
    for part in parts:
        end += abs(part.value)
        bar += fills[part.label] * (round(end * scale) - len(bar))
    return bar
