"""`list`: the programs of the corpus and the engines."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("list", short_help="List the programs, the engines and their parts.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """List the corpus of programs, the engines, and the parts that can be added to engines.

    threaded+copy is an engine, too, wherever one is named: threaded, to which copy is added."""
    from vmlab import corpus
    from vmlab.engines import ENGINES, PARTS, bases

    programs = [
        {"name": name, "summary": corpus.summary(name), "path": corpus.path(name)}
        for name in corpus.names()
    ]
    engines = [{"name": e.name, "adds": e.adds, "beside": e.beside} for e in ENGINES.values()]
    parts = [{"name": part, "adds": adds, "to": list(bases(part))} for part, adds in PARTS.items()]
    if as_json:
        import json

        result = {"programs": programs, "engines": engines, "parts": parts}
        click.echo(json.dumps(result, indent=2))
        return

    from tabulate import tabulate

    click.echo(tabulate([[p["name"], p["summary"]] for p in programs], ["program", "what it is"]))
    click.echo(f"\nTheir files are in {Path(programs[0]['path']).parent}\n")
    rows = [[e["name"], e["adds"], e["beside"] or "–"] for e in engines]
    click.echo(tabulate(rows, ["engine", "adds", "to the engine"]))
    added = [[part, adds, ", ".join(bases(part))] for part, adds in PARTS.items()]
    click.echo(f"\n{tabulate(added, ['part', 'adds', 'can be added to'])}")
