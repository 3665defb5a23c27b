"""Section `sampling`."""

from typing import Any, Literal

from pydantic import model_validator

from lcd_core.settings import PRESETS, SamplerSettings
from pipeline.config.from_settings import section_of
from pipeline.config.schema import PIPELINE, Section, contradiction, key, with_scalars

FROM_PRESET = ("step_size", "steps_per_level")


class Preset(Section):
    """The key that comes before those of the sampler."""

    preset: Literal["default", "fast", "fine", "released", "custom"] = key(
        "default",
        "Fills in `step_size` and `steps_per_level`: "
        + ", ".join(
            f"`{name}` {preset.step_size:g} and {preset.steps_per_level}"
            for name, preset in PRESETS.items()
        )
        + " (`released` is what the released code does); with `custom` give both.",
        source=PIPELINE,
    )


class Sampling(section_of(SamplerSettings, base=Preset)):  # type: ignore[misc]
    """The annealed sampler: the step at noise level alpha is `step_size` x alpha^2.

    The printed step of 0.0001 does not mix; the released code steps with 0.01.
    """

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, values: Any) -> Any:
        values = with_scalars(cls, values)  # runs before the same step of the base class
        if not isinstance(values, dict):
            return values
        preset = values.get("preset", "default")
        given = {field: values[field] for field in FROM_PRESET if values.get(field) is not None}
        if preset == "custom":
            for field in FROM_PRESET:
                if field not in given:
                    raise contradiction(
                        f"sampling.{field}",
                        "the preset custom leaves this to you",
                        "null",
                        f"give sampling.{field}, or name one of the other presets",
                    )
        if str(preset) in PRESETS:
            meant = {field: getattr(PRESETS[str(preset)], field) for field in FROM_PRESET}
            for field, value in meant.items():
                if given.get(field, value) != value:
                    raise contradiction(
                        f"sampling.{field}",
                        f"the preset {preset} means {field} {value:g}",
                        str(given[field]),
                        f"remove sampling.{field}, or set sampling.preset: custom",
                    )
            values = {**values, **meant}
        return values
