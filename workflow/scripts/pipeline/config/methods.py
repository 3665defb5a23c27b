"""Section `methods`: settings of the registered methods, and predictions made elsewhere."""

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from lcd_core.errors import InputError
from pipeline.config.layers import laid_over
from pipeline.config.messages import explain, meant
from pipeline.config.schema import PIPELINE, Section, contradiction, key
from pipeline.config.source import Source
from pipeline.methods import Method, registry

DEFAULT, TUNED = "default", "tuned"
NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
RESERVED = {DEFAULT, TUNED}
BESIDE_SETTINGS = {"run", "variants", "grid"}
"""Keys of a method in the configuration that are no settings of the method itself."""
TAKEN = ("data", "halves", "observed", "prior")
"""Names in tables and folders, beside those of methods, of what is no method."""


class Runs(Section):
    """Whether a method runs."""

    run: bool | None = key(
        None,
        "Whether it runs where `prediction.methods` is null; null: if it is a default method or is "
        "named in this section.",
        source=PIPELINE,
    )


class Tunable(Runs):
    """What every method with settings has beside them."""

    variants: dict[str, dict[str, Any]] = key(
        {},
        "Named sets of settings: what differs from those above, e.g. "
        "`{wide: {drift: {hidden: 512}}}`. A variant runs where it is named, as `lcd/wide`.",
        source=PIPELINE,
    )
    grid: dict[str, list[Any]] | None = key(
        None,
        "Keys with the values that tuning tries in all combinations, e.g. "
        "`{drift.weight_decay: [0.1, 1]}`; null takes the published grid.",
        source=PIPELINE,
    )

    @model_validator(mode="after")
    def _names_of_variants(self) -> "Tunable":
        for name in self.variants:
            if not re.match(NAME, name) or name in RESERVED or name.startswith("grid"):
                raise contradiction(
                    f".variants.{name}",
                    "this cannot be the name of a variant",
                    name,
                    "use letters, digits and _, beginning with a letter; not default, tuned, or "
                    "names that begin with grid",
                )
        return self


class Plain(Runs):
    """A method without settings."""


class OwnPrediction(Section):
    """A prediction made elsewhere, scored beside the methods."""

    predictions: str = key(
        "",
        "The h5ad file with the predicted cells; `{fold}` stands for the name of the fold.",
        source=PIPELINE,
    )
    values: Literal["counts", "lognorm", "profile"] | None = key(
        None,
        "What its `X` holds: `counts`; `lognorm`, log1p of counts scaled to 10,000 per cell; or "
        "`profile`, one row of mean lognorm per perturbation. null reads `uns['values']` of the "
        "file.",
        source=PIPELINE,
    )
    label: str | None = key(None, "Name in figures; null takes that of the key.", source=PIPELINE)
    colour: str = key(
        "#6E6E6E", "Colour in figures.", source=PIPELINE, pattern=r"^#[0-9A-Fa-f]{6}$"
    )


def section_of(method: Method) -> type[Section]:
    """Schema of one method in the configuration."""
    if method.settings is None:
        return Plain
    return create_model(
        method.settings.__name__,
        __base__=(method.settings, Tunable),
        __doc__=method.settings.__doc__,
        __module__=__name__,
    )


class MethodsBase(BaseModel):
    """Settings of the methods, and predictions made elsewhere (any other name).

    A method is run if `prediction.methods` says so; where that is null, if it is one of the default
    methods or is named here, unless its key `run` says otherwise.
    """

    model_config = Section.model_config | {"extra": "allow"}
    __pydantic_extra__: dict[str, OwnPrediction]
    any_other: ClassVar = OwnPrediction

    @model_validator(mode="before")
    @classmethod
    def _null_is_no_settings(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: {} if value is None else value for name, value in values.items()}

    @model_validator(mode="before")
    @classmethod
    def _other_names_are_predictions(cls, values: Any) -> Any:
        for name, value in values.items() if isinstance(values, dict) else ():
            if name in cls.model_fields:
                continue
            if not re.match(NAME, str(name)):
                raise contradiction(
                    f".{name}",
                    "this cannot be the name of a method",
                    str(name),
                    "use letters, digits and _, beginning with a letter",
                )
            if name in TAKEN:
                raise contradiction(
                    f".{name}",
                    "this name is taken: tables use it for something else",
                    str(name),
                    "choose another name for the prediction",
                )
            if isinstance(value, dict) and value.get("predictions"):
                continue
            raise contradiction(
                f".{name}",
                "there is no such method, and a prediction of one's own needs its file",
                repr(value),
                f"{meant(str(name), cls.model_fields)}the methods are "
                f"{', '.join(cls.model_fields)}; or give `predictions`, the path of an h5ad file "
                "with {fold} in it",
            )
        return values

    @property
    def own(self) -> dict[str, OwnPrediction]:
        """Predictions made elsewhere."""
        return dict(self.__pydantic_extra__ or {})


SECTIONS = {name: section_of(method) for name, method in registry().items()}

if TYPE_CHECKING:
    Methods = MethodsBase
else:
    Methods = create_model(
        "Methods",
        __base__=MethodsBase,
        __doc__=MethodsBase.__doc__,
        __module__=__name__,
        **{name: (own, Field(default_factory=own)) for name, own in SECTIONS.items()},
    )


def plain_settings(method: Method, section: BaseModel) -> dict[str, Any]:
    """Settings of a method as plain values, without what is no setting of the method itself."""
    return section.model_dump(mode="json", exclude=BESIDE_SETTINGS)


def given_settings(section: BaseModel) -> dict[str, Any]:
    """Settings of a method that the configuration gives, without defaults and presets."""
    return section.model_dump(mode="json", exclude=BESIDE_SETTINGS, exclude_unset=True)


def validated(
    method: Method,
    given: Mapping[str, Any],
    changes: Mapping[str, Any],
    place: str,
    source: Source,
) -> dict[str, Any]:
    """Settings of a variant with all defaults filled in.

    Parameters
    ----------
    method
        The method.
    given
        Its settings as the configuration gives them.
    changes
        What the variant changes.
    place, source
        Where these stand, for messages: key and files.

    Raises
    ------
    InputError
        Names what the method does not accept.
    """
    assert method.settings is not None
    try:
        model = method.settings.model_validate(laid_over(given, changes))
    except ValidationError as error:
        details = error.errors()[0]
        mistake = explain(details, method.settings, source.files)
        field = f"{place}.{str(mistake.where).rpartition(', ')[2]}"
        raise InputError(
            mistake.what,
            where=f"{source.of_both(field)}, {field}",
            found=mistake.found,
            remedy=mistake.remedy,
        ) from None
    return model.model_dump(mode="json")


def grid_points(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All combinations of the values of a grid, as dotted keys with values."""
    keys = list(grid)
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*grid.values())]
