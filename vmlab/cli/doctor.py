"""`doctor`: the machine, the caches, the engines, and what would disturb a measurement."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

import click

import vmlab
from vmlab.cli import exits
from vmlab.cli.status import Status

if TYPE_CHECKING:
    from vmlab.measure.machine import Disturbance
    from vmlab.program import Program

_TINY = """
func main() -> int
    push 6
    push 7
    mul
    ret
end
"""
_TINY_RESULT = 42
_PATIENCE = 10.0  # seconds

# The folder of a version. What else lies beside it is used by all, or nobody knows what it is.
_VERSION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Cache:
    """Where compiled code is kept, and how much. `stale_bytes` of it have been left by other
    versions of vmlab or of what it builds on."""

    directory: str
    bytes: int
    stale_bytes: int
    unwritable: str | None


@dataclass(frozen=True, slots=True)
class _Health:
    """How an engine fares with a tiny program; `fault` is why it cannot run it, if so."""

    engine: str
    fault: str | None
    compile_seconds: float
    from_cache: bool


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Look over the machine and every engine.

    Says what would disturb a measurement, and what to do about it."""
    from vmlab.measure.counters import probe_counters
    from vmlab.measure.machine import describe_machine, disturbances

    machine, counters = describe_machine(), probe_counters()
    engines, cache = _try_engines(), _look_at_cache()
    advice = [*disturbances(machine), *_cache_advice(cache)]
    if as_json:
        import json

        report = {
            "vmlab": vmlab.__version__,
            "machine": {key: asdict(fact) for key, fact in machine.items()},
            "counters": asdict(counters),
            "cache": None if cache is None else asdict(cache),
            "engines": [asdict(health) for health in engines],
            "advice": [asdict(disturbance) for disturbance in advice],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        counting = "available" if counters.available else f"not available: {counters.reason}"
        facts = [[fact.label, str(fact)] for fact in machine.values()]
        facts += [["hardware counters", counting], ["vmlab", vmlab.__version__]]
        click.echo(_section("machine", facts))
        click.echo(_section("cache of compiled code", _cache_facts(cache)))
        click.echo(_section("engines", [[health.engine, _fares(health)] for health in engines]))
        click.echo("what would disturb a measurement, and what to do about it")
        for disturbance in advice:
            click.echo(f"  - {disturbance.what}\n    -> {disturbance.remedy}")
        if not advice:
            click.echo("  nothing found")
    if any(health.fault for health in engines):
        context.exit(exits.DIFFERS)


def _section(title: str, rows: Iterable[Sequence[str]]) -> str:
    from tabulate import tabulate

    return f"{title}\n{indent(tabulate(rows, tablefmt='plain', disable_numparse=True), '  ')}\n"


def _try_engines() -> list[_Health]:
    from vmlab.assembler import assemble
    from vmlab.engines import ENGINES

    program = assemble(_TINY, "<tiny>")
    with Status() as status:
        found = []
        for done, name in enumerate(ENGINES):
            status(f"trying {name}", done, len(ENGINES))
            found.append(_try(name, program))
    return found


def _try(name: str, program: Program) -> _Health:
    from vmlab.engines import ENGINES, EngineUnavailable
    from vmlab.outcome import Limits, Outcome
    from vmlab.report.numbers import listing
    from vmlab.supervise import supervised

    try:
        executable = ENGINES[name].build(program, counting=False)
        outcome = supervised(executable, (), Limits(timeout=_PATIENCE)).outcome
    except EngineUnavailable as reason:
        return _Health(name, str(reason), 0.0, False)
    except Exception as error:  # whatever keeps an engine from working is worth telling
        return _Health(name, f"{type(error).__name__}: {error}", 0.0, False)
    wrong = outcome.differences(Outcome(_TINY_RESULT, (), None, None))
    fault = f"wrong {listing(wrong)}" if wrong else None
    return _Health(name, fault, executable.compile_seconds, executable.from_cache)


def _fares(health: _Health) -> str:
    from vmlab.report.numbers import duration

    if health.fault is not None:
        return f"does not work: {health.fault}"
    if not health.compile_seconds:
        return "works"
    how = "loaded from the cache" if health.from_cache else "built"
    return f"works; {how} in {duration(health.compile_seconds)}"


def _look_at_cache() -> _Cache | None:
    """None where the native half cannot be imported: trying the engines tells why."""
    import tempfile

    try:
        from vmlab.kernels.native import cache_directory
    except (ImportError, OSError):
        return None
    current: Path = cache_directory()
    root = current.parent
    unwritable = None
    try:
        current.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=current):
            pass
    except OSError as error:
        unwritable = error.strerror or str(error)
    sizes = _sizes(root)
    return _Cache(
        directory=str(root),
        bytes=sum(sizes.values()),
        stale_bytes=sum(
            size
            for entry, size in sizes.items()
            if _VERSION.fullmatch(entry) and entry != current.name
        ),
        unwritable=unwritable,
    )


def _sizes(root: Path) -> Counter[str]:
    """The bytes of everything in a folder, by the entries of that."""
    sizes: Counter[str] = Counter()
    for folder, _, files in os.walk(root):
        for file in files:
            path = Path(folder, file)
            with contextlib.suppress(OSError):  # others may use the cache, too
                sizes[path.relative_to(root).parts[0]] += path.stat().st_size
    return sizes


def _cache_facts(cache: _Cache | None) -> list[list[str]]:
    if cache is None:
        return [["directory", "unknown, since the engines cannot be imported"]]
    stale = f", of which {_mebibytes(cache.stale_bytes)} are of other versions: delete them at will"
    return [
        ["directory", cache.directory],
        ["size", _mebibytes(cache.bytes) + (stale if cache.stale_bytes else "")],
        ["writable", "yes" if cache.unwritable is None else f"no: {cache.unwritable}"],
    ]


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _cache_advice(cache: _Cache | None) -> list[Disturbance]:
    from vmlab.measure.machine import Disturbance

    if cache is None or cache.unwritable is None:
        return []
    return [
        Disturbance(
            "the cache cannot be written, so engines are compiled anew by every command",
            "make its directory writable, or name another one in VMLAB_CACHE_DIR",
            grave=False,
        )
    ]
