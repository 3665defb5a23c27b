"""SALT, the additive baseline."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="SALT",
    description="Control cells shifted by the sum of the single effects (Gaudelet et al. 2024).",
    colour="#0072B2",
    position=40,
    default=True,
    programs=QUICK,
)
