"""Section `sampling`."""

from typing import Any, Literal

from pydantic import ModelWrapValidatorHandler, model_validator

from lcd_core.settings import PRESETS, SamplerSettings
from pipeline.config.from_settings import section_of
from pipeline.config.layers import validated_over
from pipeline.config.schema import PIPELINE, Section, contradiction, key, with_scalars

FROM_PRESET = ("step_size", "steps_per_level", "scheme")
NEEDED = ("step_size", "steps_per_level")
"""Of these, what a custom sampler must be given."""


class Preset(Section):
    """The key that comes before those of the sampler."""

    preset: Literal["default", "fast", "fine", "released", "custom"] = key(
        "default",
        "Fills in `step_size`, `steps_per_level` and `scheme`: "
        + "; ".join(
            f"`{name}` {preset.step_size:g}, {preset.steps_per_level} and {preset.scheme}"
            for name, preset in PRESETS.items()
        )
        + " (`released` is what the released code does); with `custom` give the first two.",
        source=PIPELINE,
    )


class Sampling(section_of(SamplerSettings, base=Preset)):  # type: ignore[misc]
    """The annealed sampler: the step at noise level alpha is `step_size` x alpha^2.

    The printed step of 0.0001 does not mix; the released code steps with 0.01.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _lay_over_preset(
        cls, values: Any, handler: ModelWrapValidatorHandler["Sampling"]
    ) -> "Sampling":
        values = with_scalars(cls, values)  # runs before the same step of the base class
        if not isinstance(values, dict):
            return handler(values)
        # null takes back what is given elsewhere, such as outside of a variant
        values = {k: v for k, v in values.items() if k not in FROM_PRESET or v is not None}
        preset = str(values.get("preset", "default"))
        if preset == "custom":
            for field in NEEDED:
                if field not in values:
                    raise contradiction(
                        f"sampling.{field}",
                        "the preset custom leaves this to you",
                        "not given",
                        f"give sampling.{field}, or name one of the other presets",
                    )
        if preset not in PRESETS:
            return handler(values)
        meant = {field: getattr(PRESETS[preset], field) for field in FROM_PRESET}
        for field, value in meant.items():
            if values.get(field, value) != value:
                raise contradiction(
                    f"sampling.{field}",
                    f"the preset {preset} means {field} {value}",
                    str(values[field]),
                    f"remove sampling.{field} (null in a variant), or set sampling.preset: custom",
                )
        return validated_over(meant, values, handler)
