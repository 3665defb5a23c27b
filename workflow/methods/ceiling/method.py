"""The noise ceiling: one half of the observed cells against the other."""

from pipeline.methods import QUICK, Method

METHOD = Method(
    label="Noise\nceiling",
    description="One half of the observed cells, compared with the other half; no method.",
    colour="#222222",
    position=100,
    kind="reference",
    default=True,
    programs=QUICK,
)
