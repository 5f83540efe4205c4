"""vmlab: measure what interpreters cost and why compiled runtimes are fast.

program = vmlab.load("sieve")                   # of the corpus, or from a file
program.run(engine="switch", n=1000).result
vmlab.compare(program, quick=True)
vmlab.explain(program, quick=True)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmlab.assembler import assemble as assemble
    from vmlab.corpus import load as load
    from vmlab.measure.compare import compare as compare
    from vmlab.measure.explain import explain as explain

__version__ = "0.1.0"

# Imported when they are first asked for: `vmlab --help` does without them.
_LAZY = {
    "assemble": "vmlab.assembler",
    "compare": "vmlab.measure.compare",
    "explain": "vmlab.measure.explain",
    "load": "vmlab.corpus",
}

__all__ = ["assemble", "compare", "explain", "load"]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'vmlab' has no attribute '{name}'")
    return getattr(importlib.import_module(_LAZY[name]), name)
