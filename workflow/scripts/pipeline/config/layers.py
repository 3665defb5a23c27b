"""Values laid over one another, section by section."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ModelWrapValidatorHandler

Model = TypeVar("Model", bound=BaseModel)


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


def validated_over(
    preset: Mapping[str, Any], values: Mapping[str, Any], handler: ModelWrapValidatorHandler[Model]
) -> Model:
    """Validate values laid over a preset, of which every key still counts as not given.

    So a variant, which is laid over what is given, may name another preset.
    """
    model = handler(laid_over(preset, values))
    _forget(model, preset, values)
    return model


def _forget(model: BaseModel, preset: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in preset.items():
        if isinstance(value, Mapping):
            own = values.get(name)
            _forget(getattr(model, name), value, own if isinstance(own, Mapping) else {})
        elif name not in values:
            model.model_fields_set.discard(name)
