"""The mean effect of all training perturbations."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Perturbed\nmean",
    description="Control cells shifted by the mean effect of all training perturbations.",
    colour="#DDCC77",
    position=25,
    default=True,
    programs=QUICK,
)
