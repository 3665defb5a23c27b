"""Latent causal diffusion (Lorch et al. 2026): two fits and a sampler."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from pipeline.config.drift import Drift
from pipeline.config.layers import validated_over
from pipeline.config.prior import Prior
from pipeline.config.sampling import Sampling
from pipeline.config.schema import PIPELINE, Section, key
from pipeline.config.states import States
from pipeline.methods import Method, Program

FAST: dict[str, dict[str, Any]] = {
    "prior": {
        "latent_dimensions": 32,
        "hidden": 32,
        "output_hidden": 64,
        "blocks": 2,
        "steps": 3000,
        "warmup_steps": 200,
        "learning_rate": 0.001,
        "monte_carlo_states": 300,
        "temperature": 10.0,
        "start": "counts",
        "zero_rate": 3.0,
    },
    "drift": {
        "samples": 4000,
        "hidden": 256,
        "embedding_dimensions": 128,
        "steps": 2000,
        "batch_states": 512,
        "antithetic": True,
    },
}
"""Preset for some dozen genes on two cores; docs/settings.md has its quality and time."""


class LCD(Section):
    """Settings of the latent causal diffusion."""

    preset: Literal["paper", "fast"] = key(
        "paper",
        "What `prior` and `drift` are where the configuration does not say: `paper`, the published "
        "sizes, which need a GPU; `fast`, short fits of small networks for some dozen genes on two "
        "cores, see docs/settings.md. Every key that is given wins, in a variant also those given "
        "outside of it. The grid of tuning stays the published one: with `fast` give your own.",
        source=PIPELINE,
    )
    prior: Prior = Field(default_factory=Prior)
    states: States = Field(default_factory=States)
    drift: Drift = Field(default_factory=Drift)
    sampling: Sampling = Field(default_factory=Sampling)

    @model_validator(mode="wrap")
    @classmethod
    def _lay_over_preset(cls, values: Any, handler: ModelWrapValidatorHandler["LCD"]) -> "LCD":
        if not isinstance(values, Mapping) or values.get("preset") != "fast":
            return handler(values)
        return validated_over(FAST, values, handler)


METHOD = Method(
    label="LCD",
    description="Latent causal diffusion (Lorch et al. 2026).",
    colour="#D55E00",
    position=80,
    default=True,
    settings=LCD,
    # Lorch et al. 2026, Methods; temperatures are settings of the prior, the costlier fit
    grid={
        "prior.temperature": (5.0, 20.0, 100.0),
        "drift.hidden": (1024, 2048),
        "drift.weight_decay": (0.03, 0.1, 0.3, 1.0, 3.0),
    },
    programs=(
        Program(
            "fit_prior",
            outputs={"prior": "prior/prior.safetensors", "training_log": "prior/log.tsv"},
            settings=("prior",),
            threaded=True,
        ),
        Program(
            "fit_drift",
            outputs={"model": "model/model.safetensors", "training_log": "model/log.tsv"},
            settings=("states", "drift"),
            threaded=True,
        ),
        Program("predict", settings=("sampling",), threaded=True),
        Program(
            "check_fits",
            outputs={
                "table": "checks/training_conditions.tsv",
                "gene_table": "checks/genes.tsv",
                "state_table": "checks/states.tsv",
            },
            settings=("sampling",),
            threaded=True,
        ),
    ),
)
