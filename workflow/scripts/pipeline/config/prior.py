"""Section `prior`."""

from pydantic import (
    model_validator,
)

from pipeline.config.schema import METHODS, PIPELINE, Section, check_warm_up, key


class Prior(Section):
    """Inference step 1: one implicit prior (a generator network) per condition."""

    latent_dimensions: int = key(
        64, "Dimensions of the noise.", source=f"{METHODS} (64)", unit="dimensions", ge=1
    )
    hidden: int = key(
        64,
        "Width of the residual blocks before the map to the genes.",
        source=f"{METHODS} (64)",
        unit="units",
        ge=1,
    )
    output_hidden: int = key(
        256,
        "Width of the residual blocks after it.",
        source=f"{METHODS} (256)",
        unit="units",
        ge=1,
    )
    blocks: int = key(
        4,
        "Residual blocks before the map to the genes.",
        source=f"{METHODS} (4)",
        unit="blocks",
        ge=0,
    )
    output_blocks: int = key(
        2, "Residual blocks after it.", source=f"{METHODS} (2)", unit="blocks", ge=0
    )
    steps: int = key(
        250_000,
        "Optimizer steps. A short run needs a larger `learning_rate`.",
        source=f"{METHODS} (250,000; 100,000 for Wessels)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = key(
        5_000,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (5,000)",
        unit="steps",
        ge=0,
    )
    learning_rate: float = key(
        3e-4,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.0003)",
        gt=0,
    )
    batch_cells: int = key(
        64,
        "Cells per condition and step.",
        source=f"{METHODS} (64)",
        unit="cells",
        ge=1,
    )
    monte_carlo_states: int = key(
        20_000,
        "States drawn from the prior per condition and step to estimate the evidence (M).",
        source=f"{METHODS} (20,000)",
        unit="states",
        ge=2,
    )
    temperature: float = key(
        20.0,
        "Temperature tau of the tempered evidence. Published: tuned over 5, 20, 100; Norman 20, "
        "Wessels 100.",
        source=f"{METHODS} (20)",
        ge=1,
    )
    gradient_clip: float = key(
        1.0, "Largest global norm of a gradient.", source=f"{METHODS} (1)", gt=0
    )
    conditions_per_step: int = key(
        1,
        "Conditions drawn in each step; 1 is the published schedule.",
        source=f"{METHODS} (1)",
        unit="conditions",
        ge=1,
    )
    beta2: float = key(
        0.99,
        "Decay of Adam's second moment; there is no first moment (its decay is 0, as published).",
        source=f"{METHODS} (0.99)",
        gt=0,
        lt=1,
    )
    log_every: int = key(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Prior":
        check_warm_up("prior", self.warmup_steps, self.steps)
        return self
