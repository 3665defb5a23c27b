"""The latent additive model of PerturBench."""

from pipeline.config.schema import PIPELINE, Section, key
from pipeline.methods import Method, Program

SOURCE = "Wu et al. 2024 (PerturBench)"


class LatentAdditive(Section):
    """Settings of the latent additive model."""

    latent: int = key(64, "Dimensions of the latent space.", source=PIPELINE, ge=1)
    hidden: int = key(
        256, "Hidden units of encoder and decoder.", source=PIPELINE, unit="units", ge=1
    )
    layers: int = key(1, "Hidden layers of encoder and decoder.", source=SOURCE, ge=1)
    steps: int = key(3_000, "Optimizer steps.", source=PIPELINE, unit="steps", ge=1)
    batch: int = key(256, "Cells per step.", source=PIPELINE, unit="cells", ge=1)
    learning_rate: float = key(1e-3, "Of Adam.", source=PIPELINE, gt=0)
    weight_decay: float = key(1e-5, "Of Adam.", source=PIPELINE, ge=0)


METHOD = Method(
    label="Latent\nadditive",
    description="Control cells shifted as an autoencoder decodes the sum of their latent state "
    "and of the embeddings of the targets (Wu et al. 2024, PerturBench).",
    colour="#AA4499",
    position=65,
    settings=LatentAdditive,
    grid={"latent": (16, 64), "hidden": (256, 1024), "weight_decay": (1e-5, 1e-3)},
    programs=(Program("predict", threaded=True),),
)
