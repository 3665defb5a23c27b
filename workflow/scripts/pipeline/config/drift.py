"""Section `drift`."""

from typing import ClassVar, Literal

from pydantic import (
    model_validator,
)

from pipeline.config.schema import (
    METHODS,
    PIPELINE,
    RELEASE,
    Section,
    check_warm_up,
    contradiction,
    key,
)


class Drift(Section):
    """Inference step 2: the drift, by denoising score matching."""

    section: ClassVar[str] = "drift"

    parameterization: Literal["plain", "linear_pull"] = key(
        "plain",
        "`plain`: Eq. 14 as printed; `linear_pull`: with the fixed linear part of the released "
        "code, which pulls to the origin.",
        source="Lorch et al. 2026, Eq. 14 (plain)",
    )
    hidden: int = key(
        2048,
        "Width of both hidden layers. Published: tuned over 1,024 and 2,048; Norman and Wessels "
        "1,024.",
        source=f"{METHODS} (2,048)",
        unit="units",
        ge=1,
    )
    embedding_dimensions: int = key(
        1024,
        "Dimensions of a target's embedding.",
        source=f"{METHODS} (1,024)",
        unit="dimensions",
        ge=1,
    )
    time_dimensions: int = key(
        64,
        "Dimensions of the sinusoidal embedding of the noise level's index; even. Published: not "
        "stated.",
        source=PIPELINE,
        unit="dimensions",
        ge=2,
        multiple_of=2,
    )
    noise_levels: int = key(
        30,
        "Noise levels alpha, in geometric progression.",
        source=f"{METHODS} (30)",
        unit="levels",
        ge=2,
    )
    alpha_min: float = key(
        0.01,
        "Smallest noise level, in standardised states.",
        source=f"{METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    alpha_max: float = key(
        10.0,
        "Largest noise level, in standardised states.",
        source=f"{METHODS} (10)",
        unit="standard deviations",
        gt=0,
    )
    samples: int = key(
        10_000,
        "States drawn from each learned prior to train the drift (N).",
        source=f"{METHODS} (10,000)",
        unit="states",
        ge=2,
    )
    steps: int = key(
        50_000,
        "Optimizer steps. Weight decay acts through learning rate x decay x steps: a shorter run "
        "needs a larger `weight_decay`.",
        source=f"{METHODS} (50,000)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = key(
        0,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (none)",
        unit="steps",
        ge=0,
    )
    batch_states: int = key(
        8_192, "States per step.", source=f"{METHODS} (8,192)", unit="states", ge=1
    )
    learning_rate: float = key(
        1e-3,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.001)",
        gt=0,
    )
    weight_decay: float = key(
        1.0,
        "Decoupled weight decay. Published: tuned over 0.03, 0.1, 0.3, 1, 3; Norman 0.3, Wessels "
        "1.",
        source=f"{METHODS} (1)",
        ge=0,
    )
    conditions_per_batch: Literal["mixed", "single"] = key(
        "mixed",
        "`mixed`: a condition per state; `single`: one per step. Published: single, in text and "
        "released code; mixed fits better at equal compute.",
        source=f"{PIPELINE}; {METHODS} (single)",
    )
    levels_per_batch: Literal["mixed", "single"] = key(
        "mixed",
        "`mixed`: a noise level per state; `single`: one per step. Published: single in the text, "
        "mixed in the released code.",
        source=f"{RELEASE} (mixed); {METHODS} (single)",
    )
    log_every: int = key(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    @model_validator(mode="after")
    def _levels_and_warm_up(self) -> "Drift":
        if self.alpha_min >= self.alpha_max:
            raise contradiction(
                f"{self.section}.alpha_min",
                "the smallest noise level is not below the largest",
                f"alpha_min {self.alpha_min:g}, alpha_max {self.alpha_max:g}",
                f"lower {self.section}.alpha_min or raise {self.section}.alpha_max",
            )
        check_warm_up(self.section, self.warmup_steps, self.steps)
        return self
