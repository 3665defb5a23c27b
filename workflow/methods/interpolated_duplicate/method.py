"""The interpolated duplicate: held-out cells, drawn to the mean of training perturbations."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Interpolated\nduplicate",
    description="One half of the held-out cells, the mean of each gene drawn to that of training "
    "perturbations by the adjusted P value of its difference from them, compared with the other "
    "half; no method (Miller et al. 2025).",
    colour="#4A4A4A",
    position=95,
    kind="reference",
    default=True,
    programs=QUICK,
)
