"""Sections of the configuration that the method's own settings define."""

import dataclasses
from collections.abc import Collection
from typing import Any, Literal

from pydantic import create_model, model_validator

from lcd_core.errors import InputError
from lcd_core.settings import Settings
from pipeline.config.schema import Section, contradiction, key


def section_of(
    settings: type[Settings], *, base: type[Section] = Section, leave_out: Collection[str] = ()
) -> type[Section]:
    """Derive a section with the keys, bounds and contradictions of the method's settings.

    Parameters
    ----------
    settings
        The class that declares them.
    base
        Section whose keys come before.
    leave_out
        Fields that are not configured; they keep their defaults.
    """
    fields = [own for own in dataclasses.fields(settings) if own.name not in leave_out]
    names = [own.name for own in fields]

    def fit_together(section: Section) -> Section:
        try:
            settings(**{name: getattr(section, name) for name in names})
        except InputError as error:
            words = (error.where, error.what, error.found, error.remedy)
            raise contradiction(*map(str, words)) from None
        return section

    validators: dict[str, Any] = {"_fit_together": model_validator(mode="after")(fit_together)}
    keys: dict[str, Any] = {own.name: (_type(own), _key(own)) for own in fields}
    return create_model(
        settings.__name__,
        __base__=base,
        __validators__=validators,
        **keys,
    )


def _type(own: "dataclasses.Field[Any]") -> Any:
    choices = own.metadata["choices"]
    return own.type if choices is None else Literal[tuple(choices)]


def _key(own: "dataclasses.Field[Any]") -> Any:
    about = own.metadata
    return key(
        own.default,
        about["description"],
        source=about["source"],
        unit=about["unit"],
        **about["bounds"],
    )
