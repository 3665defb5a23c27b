"""What the sections of the configuration are made of."""

import re
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lcd_core.settings import METHODS as METHODS
from lcd_core.settings import PIPELINE as PIPELINE
from lcd_core.settings import RELEASE as RELEASE

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


def key(
    default: Any, description: str, *, source: str, unit: str | None = None, **constraints: Any
) -> Any:
    """Declare one key of the configuration."""
    extra = {"source": source} if unit is None else {"unit": unit, "source": source}
    constraints.setdefault("json_schema_extra", extra)
    return Field(default, description=description, **constraints)


def contradiction(field: str, what: str, found: str, remedy: str) -> PydanticCustomError:
    """Build the error for values that are valid one by one but not together."""
    context = {"field": field, "what": what, "found": found, "remedy": remedy}
    return PydanticCustomError("contradiction", "{what}", context)


def with_scalars(model: type[BaseModel], values: Any) -> Any:
    """Read text as a number, a truth value or null where a key takes these only.

    Snakemake passes nested values of its command line as text, and YAML 1.1 takes ``1e-3`` for
    text.
    """
    if not isinstance(values, dict):
        return values
    read = dict(values)
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        text = values.get(name)
        if not isinstance(text, str) or not {int, float, bool} & set(kinds):
            continue
        if bool in kinds and text.lower() in ("true", "false"):
            read[name] = text.lower() == "true"
        elif int in kinds and re.fullmatch(r"[+-]?[0-9]+", text):
            read[name] = int(text)
        elif float in kinds and re.fullmatch(NUMBER, text):
            read[name] = float(text)
        elif type(None) in kinds and text in ("null", "~"):
            read[name] = None
    return read


def distinct(values: Any) -> Any:
    if isinstance(values, list | tuple):
        repeated = sorted({str(value) for value in values if values.count(value) > 1})
        if repeated:
            raise PydanticCustomError(
                "repeated", "{what}", {"what": "values are repeated", "found": ", ".join(repeated)}
            )
    return values


def _whole_numbers(values: Any) -> Any:
    """Read the items of a list as integers where they come as text, and in ascending order."""
    if not isinstance(values, list | tuple):
        return values
    read = [int(v) if isinstance(v, str) and re.fullmatch("[0-9]+", v) else v for v in values]
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in read)
    return sorted(read) if whole else read


def whole_numbers(**bounds: int) -> Any:
    """Type of a list of integers, each within the bounds."""
    item = Annotated[int, Field(**bounds)]
    return Annotated[
        tuple[item, ...],
        Field(strict=False),
        BeforeValidator(distinct),
        BeforeValidator(_whole_numbers),
    ]


def fractions() -> Any:
    """Type of a list of shares above 0 and at most 1."""
    item = Annotated[float, Field(gt=0, le=1)]
    return Annotated[tuple[item, ...], Field(strict=False), BeforeValidator(distinct)]


Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(distinct)]


class Section(BaseModel):
    """Keys that belong together; unknown ones are refused, and so are values of a wrong type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_in_text(cls, values: Any) -> Any:
        return with_scalars(cls, values)
