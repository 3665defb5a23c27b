"""Section `sampling`."""

from typing import Literal

from pydantic import model_validator

from lcd_core.settings import PRESETS, SamplerSettings
from pipeline.config.from_settings import section_of
from pipeline.config.schema import PIPELINE, Section, contradiction, fill_in, key

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

    @model_validator(mode="after")
    def _fill_in_preset(self) -> "Sampling":
        given = {field for field in FROM_PRESET if field in self.model_fields_set}
        if self.preset == "custom":
            for field in FROM_PRESET:
                if field not in given:
                    raise contradiction(
                        f"sampling.{field}",
                        "the preset custom leaves this to you",
                        "null",
                        f"give sampling.{field}, or name one of the other presets",
                    )
            return self
        for field in FROM_PRESET:
            value = getattr(PRESETS[self.preset], field)
            if field in given and getattr(self, field) != value:
                raise contradiction(
                    f"sampling.{field}",
                    f"the preset {self.preset} means {field} {value:g}",
                    str(getattr(self, field)),
                    f"remove sampling.{field}, or set sampling.preset: custom",
                )
            fill_in(self, field, value)
        return self
