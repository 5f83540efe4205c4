"""`list`: the programs of the corpus and the engines."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """List the corpus of programs, and the engines."""
    from vmlab import corpus
    from vmlab.engines import ENGINES

    programs = [
        {"name": name, "summary": corpus.summary(name), "path": corpus.path(name)}
        for name in corpus.names()
    ]
    engines = [{"name": e.name, "adds": e.adds, "beside": e.beside} for e in ENGINES.values()]
    if as_json:
        import json

        result = {"programs": programs, "engines": engines}
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return

    from tabulate import tabulate

    click.echo(tabulate([[p["name"], p["summary"]] for p in programs], ["program", "what it is"]))
    click.echo(f"\nTheir files are in {Path(programs[0]['path']).parent}\n")
    rows = [[e["name"], e["adds"], e["beside"] or "–"] for e in engines]
    click.echo(tabulate(rows, ["engine", "adds", "to the engine"]))
