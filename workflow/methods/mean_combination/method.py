"""The mean effect of the training combinations."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Mean of\ncombinations",
    description="Control cells shifted by the mean effect of the training combinations.",
    colour="#009E73",
    position=30,
    default=True,
    programs=QUICK,
)
