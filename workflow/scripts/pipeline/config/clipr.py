"""Section `clipr`."""

from typing import Literal

from pipeline.config.schema import METHODS, PIPELINE, Section, key


class Clipr(Section):
    """CLIPR: causal effects from the responses of a drift to perturbations."""

    level_alpha: float = key(
        0.3,
        "Noise level at which the initial responses are read and the limit responses end; the "
        "nearest of the drift's levels, by ratio. Published: the smallest, 0.01, which magnifies "
        "every error of the network a hundredfold.",
        source=f"{PIPELINE}; {METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    origin: Literal["control_mean", "zero"] = key(
        "control_mean",
        "State at which the initial responses are read and from which limit responses are "
        "measured: the mean of the control, where the drift has seen data, or the `zero` of the "
        "states. The same for a linear drift.",
        source=f"{PIPELINE}; {METHODS} (zero)",
    )
    solver: Literal["anderson", "flow"] = key(
        "anderson",
        "How limit responses are found: `flow`, annealed steps along the drift as published; "
        "`anderson`, the fixed point at that level by accelerated iterations, which need fewer "
        "evaluations and converge where the flow stops short.",
        source=f"{PIPELINE}; {METHODS} (flow)",
    )
    step_size: float = key(1.0, "Step of the flow.", source=PIPELINE, unit="alpha^2", gt=0, lt=2)
    steps_per_level: int = key(
        20,
        "Steps of the flow at each noise level. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    ridge: float | None = key(
        None,
        "Strength of regularisation lambda; 0 is the pseudoinverse, null 1 / (10 x genes). "
        "Published: that, and 0.01 for the genome-wide screen.",
        source=f"{METHODS} (1 / (10 x genes))",
        ge=0,
    )
    tolerance: float = key(
        1e-3,
        "A limit response has converged if the drift left there is at most this share of the "
        "initial response.",
        source=PIPELINE,
        gt=0,
    )
    exclude_unconverged: bool = key(
        False,
        "Whether perturbations without a converged limit are left out of the estimate. They are "
        "named and flagged in any case.",
        source=PIPELINE,
    )
