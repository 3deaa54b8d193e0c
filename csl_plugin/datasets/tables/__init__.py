"""Facts about data sets as data: class names, label values and official frame lists."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["read_table"]


@cache
def read_table(name: str) -> dict[str, Any]:
    """One of the JSON tables in this folder.

    Example:
        >>> read_table("cityscapes")["label_ids"][:3]
        [7, 8, 11]
    """
    text = (resources.files(__name__) / f"{name}.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
