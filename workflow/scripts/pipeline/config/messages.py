"""Words for the configuration: what a key accepts, and what is wrong with a value."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from lcd_core.errors import InputError
from pipeline.config.source import COMMAND_LINE, Source

Location = tuple[str | int, ...]

MOST = 500
"""Characters of a value that a message shows."""
TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
EXPECTED = {
    "string_type": "text is expected",
    "tuple_type": "a list is expected",
    "dict_type": "keys with values of their own are expected",
    "model_type": "a section with keys of its own is expected",
    "string_pattern_mismatch": "the text does not have the required form",
    "string_too_short": "the text is empty",
    "too_short": "the list is empty",
}


def type_label(key_schema: dict[str, Any]) -> str:
    """Describe in words what a key accepts, from its JSON schema."""
    if "anyOf" in key_schema:
        labels = [type_label(part) for part in key_schema["anyOf"]]
        return " or ".join(labels)
    if "enum" in key_schema:
        return "one of " + ", ".join(map(str, key_schema["enum"]))
    kind = key_schema.get("type")
    if kind == "null":
        return "null"
    if kind == "array":
        items = type_label(key_schema["items"])
        return f"list of {items.removeprefix('one of ')}"
    if kind == "object":
        return "mapping from names to values"
    bounds = [
        f"{words} {key_schema[bound]}" for bound, words in BOUNDS.items() if bound in key_schema
    ]
    if "pattern" in key_schema:
        bounds.append(f"of the form `{key_schema['pattern']}`")
    return TYPES[str(kind)] + (f" ({', '.join(bounds)})" if bounds else "")


def explain(details: ErrorDetails, model: type[BaseModel], path: str | Path | Source) -> InputError:
    """Turn one of pydantic's errors into a message with place, value and remedy.

    A validator can supply the words itself: ``what``, ``found``, ``field`` and ``remedy`` in the
    context of its error.
    """
    location, kind = details["loc"], details["type"]
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        what, remedy = "unknown key", _home_of(location, model)
    else:
        expected = details["msg"].replace("Input should", "the value should")
        what = context.get("what") or EXPECTED.get(kind, expected)
        remedy = context.get("remedy") or _accepted(details, model)
    place = _place(location, context.get("field"))
    source = path if isinstance(path, Source) else Source(str(path))
    origin = source.of_both(place) if kind == "contradiction" else source.of(place)
    if kind == "string_type" and origin != COMMAND_LINE:
        remedy += "; quote a number to make it text"
    return InputError(
        what,
        where=f"{origin}, {place}",
        found=context.get("found", readable(details["input"])),
        remedy=remedy,
    )


def _place(location: Location, field: str | None) -> str:
    """Where a mistake is; a validator names fields from its own section on, or below it."""
    if field is None:
        return dotted(location)
    if field.startswith("."):
        return dotted(location) + field
    if location and field.partition(".")[0] == location[-1]:
        return dotted((*location[:-1], field))
    return field


def dotted(location: Location) -> str:
    """Write a place in the configuration as ``section.key[index]``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in location).lstrip(".")


def section_at(location: Location, model: type[BaseModel]) -> type[BaseModel] | None:
    """Find the model of a section; None where there is a key or nothing."""
    found: Any = model
    for part in location:
        field = found.model_fields.get(part)
        found = field.annotation if field is not None else getattr(found, "any_other", None)
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return None
    return found  # type: ignore[no-any-return]


def inner_sections(
    model: type[BaseModel], place: Location = ()
) -> Iterator[tuple[Location, type[BaseModel]]]:
    """All sections below a model with their places, in order."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield (*place, name), inner
            yield from inner_sections(inner, (*place, name))


def _home_of(location: Location, model: type[BaseModel]) -> str:
    """Say which key was probably meant by an unknown one."""
    name = str(location[-1])
    section = section_at(location[:-1], model) or model
    close = difflib.get_close_matches(name, section.model_fields, n=1, cutoff=0.7)
    likely = [dotted((*location[:-1], key)) for key in close]
    for place, inner in inner_sections(model):
        if place != location[:-1] and name in inner.model_fields:
            likely.append(dotted((*place, name)))
    if len(location) > 1 and name in model.model_fields:
        likely.append(f"{name} at the top level")
    if likely:
        return f"did you mean {' or '.join(likely)}?"
    return f"remove it; the keys here are {', '.join(section.model_fields)}"


def meant(name: str, known: Iterable[str]) -> str:
    """Hint at the known name that was probably meant, whatever its case; empty where none is."""
    by_case = {own.casefold(): own for own in known}
    close = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return f"did you mean {by_case[close[0]]}? " if close else ""


def _accepted(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what a key accepts."""
    names = tuple(part for part in details["loc"] if isinstance(part, str))
    section = section_at(names, model)
    if section is not None:
        return f"give at least one of its keys, or leave it out: {', '.join(section.model_fields)}"
    key_schema = _key_schema(names, model)
    if key_schema is None:
        return "names of keys are text; quote a number, a date, true, false or null that is one"
    choices = key_schema.get("enum") or key_schema.get("items", {}).get("enum", [])
    close = difflib.get_close_matches(str(details["input"]), choices, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]}? " if close else ""
    unit = f", in {key_schema['unit']}" if "unit" in key_schema else ""
    return f"{hint}give: {type_label(key_schema)}{unit}"


def _key_schema(names: Location, model: type[BaseModel]) -> dict[str, Any] | None:
    """JSON schema of the key at or above a place; None where there is none."""
    for depth in range(len(names), 0, -1):
        section = section_at(names[: depth - 1], model)
        is_section = section_at(names[:depth], model) is not None
        if section is not None and names[depth - 1] in section.model_fields and not is_section:
            return section.model_json_schema()["properties"].get(names[depth - 1])
    return None


def readable(value: object) -> str:
    """A value as a message shows it, cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than some thousand digits
        text = f"a {type(value).__name__} too long to be shown"
    return text if len(text) <= MOST else f"{text[:MOST]} ..."
