"""Section `prediction`."""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
)

from pipeline.config.schema import METHODS, PIPELINE, Section, distinct, key

MethodName = Literal["lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling"]


class Prediction(Section):
    """What predicts the held-out combinations."""

    methods: Annotated[tuple[MethodName, ...], Field(strict=False), BeforeValidator(distinct)] = (
        key(
            ("lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling"),
            "Methods to run: the model; control cells; random perturbed training cells; control "
            "cells shifted by the sum of the single effects; control cells shifted by the mean "
            "effect of the training combinations; one half of the observed cells.",
            source=f"{METHODS}; {PIPELINE}",
            min_length=1,
        )
    )
    cells: int = key(
        1000,
        "Cells that a method predicts for each perturbation.",
        source=f"{METHODS} (1,000)",
        unit="cells",
        ge=2,
    )
