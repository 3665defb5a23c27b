"""Settings of the method: every one with default, meaning, unit, bounds and source, once.

The configuration of the workflow is derived from these classes. Nothing here needs torch.
"""

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from lcd_core.errors import InputError

METHODS = "Lorch et al. 2026, Methods"
RELEASE = "code released with Lorch et al. 2026"
PIPELINE = "this pipeline"

CHECKPOINT_INTERVAL = 300.0
"""Seconds between two checkpoints of a training; no result depends on it."""

BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
    "multiple_of": ("a multiple of", lambda value, bound: value % bound == 0),
}


def setting(
    default: Any,
    description: str,
    *,
    source: str,
    unit: str | None = None,
    choices: Sequence[str] | None = None,
    **bounds: float,
) -> Any:
    """Declare a field of a :class:`Settings` class.

    Parameters
    ----------
    default
        Its value unless another is given.
    description
        What it is, in full sentences.
    source
        Where the default comes from; a published value that differs is given in parentheses.
    unit
        Unit of the value.
    choices
        Texts that it may be.
    bounds
        ``ge``, ``gt``, ``le``, ``lt`` or ``multiple_of``.
    """
    about = {"description": description, "source": source, "unit": unit, "choices": choices}
    return field(default=default, metadata={**about, "bounds": bounds})


@dataclass(frozen=True)
class Settings:
    """Base of all settings: values are checked when an object is made.

    Raises
    ------
    InputError
        If a value is of a wrong type, out of bounds, or does not go with another; names the field
        as ``section.field``.
    """

    section: ClassVar[str]
    """Where the configuration of the workflow has these settings."""

    def __post_init__(self) -> None:
        for own in dataclasses.fields(self):
            value = _plain(getattr(self, own.name))
            object.__setattr__(self, own.name, value)
            expected = _what_is_wrong(value, own)
            if expected is not None:
                raise InputError(
                    f"the value should be {expected}",
                    where=f"{self.section}.{own.name}",
                    found=repr(value),
                )
        self.check_together()

    def check_together(self) -> None:
        """Refuse values that are valid one by one but not together."""

    def _contradiction(self, name: str, what: str, found: str, remedy: str) -> InputError:
        return InputError(what, where=f"{self.section}.{name}", found=found, remedy=remedy)

    def _check_warm_up(self, warmup_steps: int, steps: int) -> None:
        if warmup_steps >= steps:
            raise self._contradiction(
                "warmup_steps",
                "the warm-up does not end before the last step",
                f"warmup_steps {warmup_steps}, steps {steps}",
                f"lower {self.section}.warmup_steps or raise {self.section}.steps",
            )


def _plain(value: Any) -> Any:
    """Numbers of NumPy as those of Python, which files can hold."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, int) else value


def _is_finite(value: float, as_float: bool) -> bool:
    """Whether a number is finite, and, of an integer for a float, has one of its size."""
    try:
        return (isinstance(value, int) and not as_float) or math.isfinite(value)
    except OverflowError:
        return False


def _what_is_wrong(value: Any, own: "dataclasses.Field[Any]") -> str | None:
    """What a value should have been; None if it is fine."""
    kinds = get_args(own.type) or (own.type,)
    if value is None and type(None) in kinds:
        return None
    choices = own.metadata["choices"]
    if choices is not None:
        return None if value in choices else f"one of {', '.join(choices)}"
    if bool in kinds or isinstance(value, bool):
        return None if bool in kinds and isinstance(value, bool) else "true or false"
    if float not in kinds and not isinstance(value, int):
        return "an integer"
    if not (isinstance(value, int | float) and _is_finite(value, float in kinds)):
        return "a number"
    for name, bound in own.metadata["bounds"].items():
        words, holds = BOUNDS[name]
        if not holds(value, bound):
            return f"{words} {bound}"
    return None


@dataclass(frozen=True)
class PriorSettings(Settings):
    """Inference step 1: one implicit prior (a generator network) per condition (Eqs. 9-11)."""

    section = "prior"

    latent_dimensions: int = setting(
        64, "Dimensions of the noise.", source=f"{METHODS} (64)", unit="dimensions", ge=1
    )
    hidden: int = setting(
        64,
        "Width of the residual blocks before the map to the genes.",
        source=f"{METHODS} (64)",
        unit="units",
        ge=1,
    )
    output_hidden: int = setting(
        256,
        "Width of the residual blocks after it.",
        source=f"{METHODS} (256)",
        unit="units",
        ge=1,
    )
    blocks: int = setting(
        4,
        "Residual blocks before the map to the genes.",
        source=f"{METHODS} (4)",
        unit="blocks",
        ge=0,
    )
    output_blocks: int = setting(
        2, "Residual blocks after it.", source=f"{METHODS} (2)", unit="blocks", ge=0
    )
    steps: int = setting(
        250_000,
        "Optimizer steps. A short run needs a larger `learning_rate`.",
        source=f"{METHODS} (250,000; 100,000 for Wessels)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = setting(
        5_000,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (5,000)",
        unit="steps",
        ge=0,
    )
    learning_rate: float = setting(
        3e-4,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.0003)",
        gt=0,
    )
    batch_cells: int = setting(
        64,
        "Cells per condition and step.",
        source=f"{METHODS} (64)",
        unit="cells",
        ge=1,
    )
    monte_carlo_states: int = setting(
        20_000,
        "States drawn from the prior per condition and step to estimate the evidence (M).",
        source=f"{METHODS} (20,000)",
        unit="states",
        ge=2,
    )
    temperature: float = setting(
        20.0,
        "Temperature tau of the tempered evidence. Published: tuned over 5, 20, 100; Norman 20, "
        "Wessels 100.",
        source=f"{METHODS} (20)",
        ge=1,
    )
    tempered_evidence: bool = setting(
        True,
        "Whether the tempered evidence is maximised beside the evidence itself; `false` is an "
        "ablation.",
        source=f"{METHODS} (true)",
    )
    gene_scaling: bool = setting(
        True,
        "Whether rates have the scale of their gene's counts, eta; `false`, all 1, is an ablation.",
        source=f"{METHODS} (true)",
    )
    gradient_clip: float = setting(
        1.0, "Largest global norm of a gradient.", source=f"{METHODS} (1)", gt=0
    )
    conditions_per_step: int = setting(
        1,
        "Conditions drawn in each step; 1 is the published schedule.",
        source=f"{METHODS} (1)",
        unit="conditions",
        ge=1,
    )
    beta2: float = setting(
        0.99,
        "Decay of Adam's second moment; there is no first moment (its decay is 0, as published).",
        source=f"{METHODS} (0.99)",
        gt=0,
        lt=1,
    )
    start: str = setting(
        "random",
        "Where generators start. `random`: anywhere, as published; `counts`: with states near "
        "those that give the mean counts of their condition, which saves most of a short fit.",
        source=f"{METHODS} (random)",
        choices=("random", "counts"),
    )
    zero_rate: float = setting(
        1.0,
        "Learning rate of the zero probabilities, as a multiple of that of the generators. They "
        "start at 0.05, and in a short fit do not get far otherwise.",
        source=f"{METHODS} (1)",
        gt=0,
    )
    network_precision: str = setting(
        "tf32",
        "Precision of the generators' products on a GPU, which multiplies in `tf32` several times "
        "faster. The likelihood is in float32 with either; a CPU has float32 alone.",
        source=f"{PIPELINE}; {METHODS} (not stated)",
        choices=("float32", "tf32"),
    )
    fused: bool = setting(
        False,
        "Whether the parts of the likelihood that go element by element are compiled into few "
        "passes over memory. Needs a compiler of C and C++ where the fit runs; without one a "
        "warning is logged.",
        source=PIPELINE,
    )
    log_every: int = setting(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    def check_together(self) -> None:
        """Refuse a warm-up that does not end."""
        self._check_warm_up(self.warmup_steps, self.steps)


@dataclass(frozen=True)
class StateSettings(Settings):
    """The coordinates in which the drift is learned; standardised in either case."""

    section = "states"

    transform: str = setting(
        "identity",
        "`identity`: the states themselves (published, and needed for causal effects); "
        "`log_rate`: log(rate + pseudocount), which shortens the meaningless tails of genes with "
        "few counts; `expression`: no states at all but the observed cells' log-normalised "
        "expression, an ablation without priors and measurement model.",
        source=f"{METHODS} (identity)",
        choices=("identity", "log_rate", "expression"),
    )
    pseudocount: float = setting(
        0.1, "Added to the rate inside the logarithm.", source=PIPELINE, unit="counts", gt=0
    )
    scaling: str = setting(
        "standard_deviation",
        "What states are divided by: `standard_deviation` of each gene (published), or the square "
        "root of their whole `covariance`, which makes every direction equally long.",
        source=f"{METHODS} (standard_deviation)",
        choices=("standard_deviation", "covariance"),
    )
    shrinkage: float = setting(
        0.0,
        "Shrinks the covariance towards its diagonal: 0 not at all, 1 would leave the variances. "
        "With scaling `covariance` only.",
        source=PIPELINE,
        ge=0,
        lt=1,
    )


@dataclass(frozen=True)
class DriftSettings(Settings):
    """Inference step 2: the drift network and its denoising score matching (Eqs. 12, 14).

    Adam has decays 0.9 and 0.999.
    """

    section = "drift"

    parameterization: str = setting(
        "plain",
        "`plain`: Eq. 14 as printed; `linear_pull`: with the fixed linear part of the released "
        "code, which pulls to the origin.",
        source="Lorch et al. 2026, Eq. 14 (plain)",
        choices=("plain", "linear_pull"),
    )
    hidden: int = setting(
        2048,
        "Width of both hidden layers. Published: tuned over 1,024 and 2,048; Norman and Wessels "
        "1,024.",
        source=f"{METHODS} (2,048)",
        unit="units",
        ge=1,
    )
    embedding_dimensions: int = setting(
        1024,
        "Dimensions of a target's embedding.",
        source=f"{METHODS} (1,024)",
        unit="dimensions",
        ge=1,
    )
    embedding_layers: str = setting(
        "both",
        "Hidden layers to which the embeddings are added; `first` and `second` alone are "
        "ablations.",
        source="Lorch et al. 2026, Eq. 14 (both)",
        choices=("both", "first", "second"),
    )
    time_dimensions: int = setting(
        64,
        "Dimensions of the sinusoidal embedding of the noise level's index; even. Published: not "
        "stated.",
        source=PIPELINE,
        unit="dimensions",
        ge=2,
        multiple_of=2,
    )
    noise_levels: int = setting(
        30,
        "Noise levels alpha, in geometric progression.",
        source=f"{METHODS} (30)",
        unit="levels",
        ge=2,
    )
    alpha_min: float = setting(
        0.01,
        "Smallest noise level, in standardised states.",
        source=f"{METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    alpha_max: float = setting(
        10.0,
        "Largest noise level, in standardised states.",
        source=f"{METHODS} (10)",
        unit="standard deviations",
        gt=0,
    )
    samples: int = setting(
        10_000,
        "States drawn from each learned prior to train the drift (N).",
        source=f"{METHODS} (10,000)",
        unit="states",
        ge=2,
    )
    steps: int = setting(
        50_000,
        "Optimizer steps. Weight decay acts through learning rate x decay x steps: a shorter run "
        "needs a larger `weight_decay`.",
        source=f"{METHODS} (50,000)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = setting(
        0,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (none)",
        unit="steps",
        ge=0,
    )
    batch_states: int = setting(
        8_192, "States per step.", source=f"{METHODS} (8,192)", unit="states", ge=1
    )
    learning_rate: float = setting(
        1e-3,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.001)",
        gt=0,
    )
    weight_decay: float = setting(
        1.0,
        "Decoupled weight decay. Published: tuned over 0.03, 0.1, 0.3, 1, 3; Norman 0.3, Wessels "
        "1.",
        source=f"{METHODS} (1)",
        ge=0,
    )
    conditions_per_batch: str = setting(
        "mixed",
        "`mixed`: a condition per state; `single`: one per step. Published: single, in text and "
        "released code; mixed fits better at equal compute.",
        source=f"{PIPELINE}; {METHODS} (single)",
        choices=("mixed", "single"),
    )
    levels_per_batch: str = setting(
        "mixed",
        "`mixed`: a noise level per state; `single`: one per step. Published: single in the text, "
        "mixed in the released code.",
        source=f"{RELEASE} (mixed); {METHODS} (single)",
        choices=("mixed", "single"),
    )
    antithetic: bool = setting(
        False,
        "Whether every state of a step occurs twice, with the same noise of either sign: where "
        "noise is small the gradient then hardly varies, and half of the steps do. Published: no.",
        source=f"{METHODS} (false)",
    )
    network_precision: str = setting(
        "tf32",
        "Precision of the network's products on a GPU while it is trained, which multiplies in "
        "`tf32` several times faster. A CPU has float32 alone.",
        source=f"{PIPELINE}; {METHODS} (not stated)",
        choices=("float32", "tf32"),
    )
    log_every: int = setting(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    def check_together(self) -> None:
        """Refuse noise levels upside down, a warm-up that does not end, and half a pair."""
        if self.antithetic and self.batch_states % 2:
            raise self._contradiction(
                "batch_states",
                "antithetic noise comes in pairs, and the number of states is odd",
                f"batch_states {self.batch_states}",
                f"make {self.section}.batch_states even",
            )
        if self.alpha_min >= self.alpha_max:
            raise self._contradiction(
                "alpha_min",
                "the smallest noise level is not below the largest",
                f"alpha_min {self.alpha_min:g}, alpha_max {self.alpha_max:g}",
                f"lower {self.section}.alpha_min or raise {self.section}.alpha_max",
            )
        self._check_warm_up(self.warmup_steps, self.steps)


EULER_MARUYAMA, LEIMKUHLER_MATTHEWS = "euler_maruyama", "leimkuhler_matthews"
"""Schemes of the annealed sampler."""


@dataclass(frozen=True)
class SamplerSettings(Settings):
    """The annealed sampler: the step at noise level alpha is ``step_size * alpha^2`` (Eq. 13).

    The printed step of 0.0001 does not mix; the released code steps with 0.01.
    """

    section = "sampling"

    step_size: float = setting(
        1.0,
        "Step, in units of alpha^2 (delta); from the preset unless that is `custom`. Published: "
        "0.0001 in the text, 0.01 in the released code.",
        source=PIPELINE,
        unit="alpha^2",
        gt=0,
        lt=2,
    )
    steps_per_level: int = setting(
        10,
        "Steps at each noise level; from the preset unless that is `custom`. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    annealing: bool = setting(
        True,
        "Whether the noise levels are gone through from the largest to the smallest; `false`, as "
        "many steps at the smallest, is an ablation.",
        source=f"{METHODS} (true)",
    )
    draws_per_state: int = setting(
        1,
        "Cells drawn from each state. Published: 1 in the text, 5 in the released code.",
        source=f"{METHODS} (1)",
        unit="cells",
        ge=1,
    )
    scheme: str = setting(
        EULER_MARUYAMA,
        "What a step is: `euler_maruyama` as published, or `leimkuhler_matthews`, which has half "
        "of its noise before the drift: as costly, and of second order, so that steps may be "
        "large. From the preset unless that is `custom`.",
        source=f"{METHODS} (euler_maruyama)",
        choices=(EULER_MARUYAMA, LEIMKUHLER_MATTHEWS),
    )


# "released" is the released code's step, 1e-6 (alpha / alpha_1)^2. The text's 1e-4 read as a step
# of 1e-4 alpha^2 does not mix and is not offered.
# The default is where the curve of MMD to a long run against drift evaluations flattens, below the
# error of the fit (benchmarks/sampler_curve.py).
PRESETS = {
    "released": SamplerSettings(step_size=0.01, steps_per_level=500),
    "fine": SamplerSettings(step_size=0.1, steps_per_level=100),
    "default": SamplerSettings(),
    "fast": SamplerSettings(step_size=1.8, steps_per_level=5, scheme=LEIMKUHLER_MATTHEWS),
}


@dataclass(frozen=True)
class LinearisationSettings(Settings):
    """CLIPR: causal effects from the responses of a drift to perturbations (Eqs. 5-8, 15, 16)."""

    section = "clipr"

    level_alpha: float = setting(
        0.3,
        "Noise level at which the initial responses are read and the limit responses end; the "
        "nearest of the drift's levels, by ratio. Published: the smallest, 0.01, which magnifies "
        "every error of the network a hundredfold.",
        source=f"{PIPELINE}; {METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    origin: str = setting(
        "control_mean",
        "State at which the initial responses are read and from which limit responses are "
        "measured: the mean of the control, where the drift has seen data, or the `zero` of the "
        "states. The same for a linear drift.",
        source=f"{PIPELINE}; {METHODS} (zero)",
        choices=("control_mean", "zero"),
    )
    solver: str = setting(
        "anderson",
        "How limit responses are found: `flow`, annealed steps along the drift as published; "
        "`anderson`, the fixed point at that level by accelerated iterations, which need fewer "
        "evaluations and converge where the flow stops short.",
        source=f"{PIPELINE}; {METHODS} (flow)",
        choices=("anderson", "flow"),
    )
    step_size: float = setting(
        1.0, "Step of the flow.", source=PIPELINE, unit="alpha^2", gt=0, lt=2
    )
    steps_per_level: int = setting(
        20,
        "Steps of the flow at each noise level. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    ridge: float | None = setting(
        None,
        "Strength of regularisation lambda; 0 is the pseudoinverse, null 1 / (10 x genes). "
        "Published: that, and 0.01 for the genome-wide screen.",
        source=f"{METHODS} (1 / (10 x genes))",
        ge=0,
    )
    tolerance: float = setting(
        1e-3,
        "A limit response has converged if the drift left there is at most this share of the "
        "initial response.",
        source=PIPELINE,
        gt=0,
    )
    exclude_unconverged: bool = setting(
        False,
        "Whether perturbations without a converged limit are left out of the estimate. They are "
        "named and flagged in any case.",
        source=PIPELINE,
    )


@dataclass(frozen=True)
class EffectSettings(Settings):
    """How direct effects are estimated from a fit, see :mod:`lcd_core.direct_effects`."""

    section = "effects"

    estimator: str = setting(
        "adaptive_rows",
        "How direct effects are estimated, see docs/clipr.md: `adaptive_rows` (sparse rows told "
        "the targets, averaged over errors), `sparse_rows`, `target_aware_rows`, "
        "`averaged_current`, `probability_current`, `centred_ridge`, or `clipr`, as published. "
        "Effects of `clipr` are in the files whatever is chosen.",
        source=f"{PIPELINE}; {METHODS} (clipr)",
        choices=(
            "clipr",
            "centred_ridge",
            "averaged_current",
            "probability_current",
            "target_aware_rows",
            "sparse_rows",
            "adaptive_rows",
        ),
    )
    changes: str = setting(
        "counts",
        "Where changes of genes under perturbations come from, for estimators that start from "
        "them: logarithms of mean `counts`, of mean `normalised_counts` (by "
        "`quality_control.size_factors`), or means of log rates under the fitted `priors`. "
        "`clipr` and `centred_ridge` read the drift instead.",
        source=PIPELINE,
        choices=("counts", "normalised_counts", "priors"),
    )
    samples: int = setting(
        2000,
        "States drawn from each prior for the means of its log rates.",
        source=PIPELINE,
        unit="states",
        ge=2,
    )
    draws: int = setting(
        30,
        "Redrawings of the changes within their standard errors over which `adaptive_rows` "
        "averages, and from which it has the errors of effects.",
        source=PIPELINE,
        unit="draws",
        ge=2,
    )
