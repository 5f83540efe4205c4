"""The JSON Schemas of what vmlab writes, which lie beside this file."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def load(file: str) -> dict[str, Any]:
    text = resources.files("vmlab.report").joinpath(file).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
