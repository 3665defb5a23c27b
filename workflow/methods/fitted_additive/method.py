"""The additive model with coefficients that training combinations decide."""

from pipeline.config.schema import PIPELINE, Section, key
from pipeline.methods import QUICK, Method


class FittedAdditive(Section):
    """Settings of the fitted additive model."""

    shrinkage: float = key(
        1.0,
        "How strongly the coefficient of a target is drawn to the one that all share, in units of "
        "the mean squared length of a single effect; large: one coefficient for all.",
        source=PIPELINE,
        gt=0,
    )


METHOD = Method(
    label="Fitted\nadditive",
    description="Control cells shifted by a weighted sum of the single effects, with a "
    "coefficient for each target, fitted to the training combinations.",
    colour="#999933",
    position=45,
    default=True,
    settings=FittedAdditive,
    grid={"shrinkage": (0.1, 1.0, 10.0, 1000.0)},
    programs=QUICK,
)
