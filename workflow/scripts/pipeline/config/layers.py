"""Values laid over one another, section by section."""

from collections.abc import Mapping
from typing import Any


def laid_over(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes laid over them, section by section."""
    merged = dict(settings)
    for name, value in changes.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = laid_over(below, value)
        else:
            merged[name] = value
    return merged


def nested(dotted: str, value: Any) -> dict[str, Any]:
    """Write ``{"a.b": v}`` as ``{"a": {"b": v}}``."""
    first, _, rest = dotted.partition(".")
    return {first: nested(rest, value) if rest else value}
