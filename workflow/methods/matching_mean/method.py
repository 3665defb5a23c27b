"""The mean effect of a combination's own targets."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Matching\nmean",
    description="Control cells shifted by the mean, not the sum, of the single effects "
    "(Vinas Torne et al. 2025, Systema).",
    colour="#882255",
    position=35,
    default=True,
    programs=QUICK,
)
