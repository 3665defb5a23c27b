"""Section `sampling`."""

from typing import Any, Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import METHODS, PIPELINE, Section, contradiction, key, with_numbers

# step size (in units of alpha squared), steps per noise level
SAMPLER_PRESETS: dict[str, dict[str, float | int]] = {
    "released": {"step_size": 0.01, "steps_per_level": 500},
    "fine": {"step_size": 0.1, "steps_per_level": 100},
    "default": {"step_size": 1.0, "steps_per_level": 10},
    "fast": {"step_size": 1.0, "steps_per_level": 5},
}


class Sampling(Section):
    """The annealed sampler: the step at noise level alpha is `step_size` x alpha^2.

    The printed step of 0.0001 does not mix; the released code steps with 0.01.
    """

    preset: Literal["default", "fast", "fine", "released", "custom"] = key(
        "default",
        "Fills in `step_size` and `steps_per_level`: "
        + ", ".join(
            f"`{name}` {values['step_size']:g} and {values['steps_per_level']}"
            for name, values in SAMPLER_PRESETS.items()
        )
        + " (`released` is what the released code does); with `custom` give both.",
        source=PIPELINE,
    )
    step_size: float = key(
        1.0,
        "Step, in units of alpha^2 (delta); from the preset unless that is `custom`. Published: "
        "0.0001 in the text, 0.01 in the released code.",
        source=PIPELINE,
        unit="alpha^2",
        gt=0,
        lt=2,
    )
    steps_per_level: int = key(
        10,
        "Steps at each noise level; from the preset unless that is `custom`. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    draws_per_state: int = key(
        1,
        "Cells drawn from each state. Published: 1 in the text, 5 in the released code.",
        source=f"{METHODS} (1)",
        unit="cells",
        ge=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, values: Any) -> Any:
        values = with_numbers(cls, values)  # runs before the same step of the base class
        if not isinstance(values, dict):
            return values
        preset = values.get("preset", "default")
        given = {
            k: values[k] for k in ("step_size", "steps_per_level") if values.get(k) is not None
        }
        if preset == "custom":
            for field in ("step_size", "steps_per_level"):
                if field not in given:
                    raise contradiction(
                        f"sampling.{field}",
                        "the preset custom leaves this to you",
                        "null",
                        f"give sampling.{field}, or name one of the other presets",
                    )
        for field, value in SAMPLER_PRESETS.get(str(preset), {}).items():
            if given.get(field, value) != value:
                raise contradiction(
                    f"sampling.{field}",
                    f"the preset {preset} means {field} {value:g}",
                    str(given[field]),
                    f"remove sampling.{field}, or set sampling.preset: custom",
                )
            values = {**values, field: value}
        return values
