"""Measures the published tables anew: `python results/publish.py` writes, beside itself, a JSON
file a program with every sample, and tables.md with one table a program."""

from pathlib import Path

import vmlab
from vmlab import corpus

PROGRAMS = (
    "fib", "sum", "sieve", "collatz", "matmul", "nbody", "quicksort", "fannkuch", "queens",
    "crc32", "stream_predictable", "stream_periodic", "stream_random",
)  # fmt: skip

HERE = Path(__file__).parent


def main() -> None:
    sections = ["# Engines compared\n\nMade by `python results/publish.py`; samples in the JSON.\n"]
    for name in PROGRAMS:
        print(name, flush=True)
        # By its name alone: where it lies is no one else's business.
        program = vmlab.assemble(corpus.source(name), f"{name}.vm")
        comparison = vmlab.compare(program)
        (HERE / f"{name}.json").write_text(comparison.to_json())
        notes = [*comparison.notes, *(f"Warning: {warning}" for warning in comparison.warnings)]
        sections.append(
            f"## {name}\n\n{comparison.table('github')}\n\n{comparison.verdict}\n\n"
            + "".join(f"- {note}\n" for note in notes)
        )
    (HERE / "tables.md").write_text("\n".join(sections))


if __name__ == "__main__":
    main()
