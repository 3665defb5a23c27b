"""Settings of a fit, as a file that a rule writes and programs read."""

import json
from pathlib import Path
from typing import Any

from lcd_core.atomic import atomic


def write_settings(values: dict[str, Any], path: str | Path) -> None:
    """Write settings as JSON, sections and keys in the order of the schema."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_settings(path: str | Path) -> dict[str, Any]:
    """Read what :func:`write_settings` wrote: section -> key -> value."""
    values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return values
