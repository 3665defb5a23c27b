"""Sections `linear_systems` and `linear_drift`."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from lcd_core.settings import DriftSettings, setting
from pipeline.config.from_settings import section_of
from pipeline.config.schema import (
    METHODS,
    PIPELINE,
    Section,
    contradiction,
    distinct,
    key,
    whole_numbers,
)

Structure = Literal["erdos_renyi", "power_law"]


class LinearSystems(Section):
    """Linear systems with known causal effects, drawn at random; a fit for each of them."""

    structures: Annotated[tuple[Structure, ...], Field(strict=False), BeforeValidator(distinct)] = (
        key(
            ("erdos_renyi", "power_law"),
            "`erdos_renyi`: independent links; `power_law`: few regulators with many targets.",
            source=f"{METHODS} (both)",
            min_length=1,
        )
    )
    genes: whole_numbers(ge=2) = key(  # type: ignore[valid-type]
        (100,),
        "Numbers of genes. Published: 100, 300, 1,000.",
        source=METHODS,
        unit="genes",
        min_length=1,
    )
    perturbed_percent: whole_numbers(ge=1, le=100) = key(  # type: ignore[valid-type]
        (100,),
        "Shares of the genes that are perturbed, one gene per perturbation. The systems of one "
        "number differ in this alone. Published: several, up to 100.",
        source=METHODS,
        unit="percent",
        min_length=1,
    )
    systems: int = key(
        10,
        "Systems for each structure, number of genes and share of perturbed genes.",
        source=f"{METHODS} (10)",
        unit="systems",
        ge=1,
    )
    samples_per_condition: int = key(
        200,
        "Samples of the stationary distribution of the control and of each perturbation.",
        source=f"{METHODS} (200)",
        unit="samples",
        ge=2,
    )
    sigma: float = key(
        math.sqrt(2.0),
        "Diffusion scale of the systems; a learned A is (2 / sigma^2) times the true one, since "
        "the model's own is the square root of 2. Published: not stated; the released code "
        "simulates with 1.",
        source=f"{METHODS} (that of the model)",
        gt=0,
    )
    links_per_gene: int = key(
        10,
        "Causes per gene: expected (`erdos_renyi`), or at most, when a gene is added "
        "(`power_law`).",
        source=f"{METHODS} (10)",
        unit="links",
        ge=1,
    )
    strength: float = key(
        2.0,
        "Strength of preferential attachment, for `power_law`.",
        source=f"{METHODS} (2)",
        ge=0,
    )
    flip_probability: float = key(
        0.1,
        "Probability that a link is reversed, for `power_law`.",
        source=f"{METHODS} (0.1)",
        ge=0,
        le=1,
    )
    threshold: float = key(
        0.5,
        "Effects beyond it on either side are called positive or negative by the metrics `f1` and "
        "`f1_among@k`.",
        source=f"{METHODS} (0.5)",
        ge=0,
    )
    top_effects_per_gene: whole_numbers(ge=1) = key(  # type: ignore[valid-type]
        (1, 2, 5, 10, 20),
        "The metrics at k score the k strongest effects, k being so many times the number of "
        "genes.",
        source=PIPELINE,
        unit="effects per gene",
        min_length=1,
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> "LinearSystems":
        genes = min(self.genes)
        for field, most in (
            ("links_per_gene", self.links_per_gene),
            ("top_effects_per_gene", max(self.top_effects_per_gene)),
        ):
            if most >= genes:
                raise contradiction(
                    f"linear_systems.{field}",
                    "a gene has no more than one effect on each of the others",
                    f"{most}, {genes} genes",
                    f"lower linear_systems.{field} to at most {genes - 1} or raise "
                    "linear_systems.genes",
                )
        percent = min(self.perturbed_percent)
        if round(genes * percent / 100) < 1:
            raise contradiction(
                "linear_systems.perturbed_percent",
                "no gene would be perturbed",
                f"{percent}% of {genes} genes",
                "raise linear_systems.perturbed_percent",
            )
        return self


@dataclass(frozen=True)
class LinearDriftSettings(DriftSettings):
    """Those of the drift, and what only linear systems have."""

    section = "linear_drift"

    scaling: str = setting(
        "covariance",
        "What states are divided by: `standard_deviation` of each gene (published), or the square "
        "root of their whole `covariance`, which makes every direction equally long. Published: "
        "standard_deviation.",
        source=f"{PIPELINE}; {METHODS} (standard_deviation)",
        choices=("standard_deviation", "covariance"),
    )
    steps_from_1000_genes: int | None = setting(
        None,
        "Optimizer steps for systems of 1,000 genes or more; null: `steps`. Published: 100,000 for "
        "large systems.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )

    def check_together(self) -> None:
        """Refuse a warm-up that does not end, of large systems too."""
        super().check_together()
        if self.steps_from_1000_genes is not None:
            self._check_warm_up(self.warmup_steps, self.steps_from_1000_genes)


# How many samples a system has is `linear_systems.samples_per_condition`.
class LinearDrift(section_of(LinearDriftSettings, leave_out=("samples",))):  # type: ignore[misc]
    """The drift of the linear systems: keys as in `drift`, with values of its own.

    It is trained on the states of a system themselves; there is no measurement model.
    """
