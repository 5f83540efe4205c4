"""vmlab: measure what interpreters cost and why compiled runtimes are fast."""

__version__ = "0.1.0"
