"""Random cells of all training perturbations."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Random\nperturbed",
    description="Random perturbed cells of all training conditions.",
    colour="#56B4E9",
    position=20,
    kind="baseline",
    default=True,
    programs=QUICK,
)
