"""The schema of the configuration: every key with type, unit, default and source.

``config/README.md`` and ``config/schema.json`` are generated from here by
:mod:`pipeline.config.document`. A rule gets its settings from the :class:`Config` that
:func:`load_config` returns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from lcd_core.errors import InputError
from pipeline.config.checkpoints import Checkpoints
from pipeline.config.clipr import Clipr
from pipeline.config.cluster import Cluster
from pipeline.config.effects import Effects
from pipeline.config.enrichment import Enrichment
from pipeline.config.environments import Environments
from pipeline.config.evaluation import Evaluation
from pipeline.config.folds import Folds
from pipeline.config.genes import Genes
from pipeline.config.interactions import Interactions
from pipeline.config.linear_systems import LinearDrift, LinearSystems
from pipeline.config.messages import explain, readable
from pipeline.config.methods import Methods
from pipeline.config.modules import Modules
from pipeline.config.prediction import Prediction
from pipeline.config.predictions import Predictions
from pipeline.config.quality_control import QualityControl
from pipeline.config.schema import PIPELINE, Section, contradiction, distinct, key
from pipeline.config.screen import Screen
from pipeline.config.simulation import Simulation
from pipeline.config.source import Source
from pipeline.config.threads import Threads
from pipeline.config.tuning import Tuning

Analysis = Literal["benchmark", "effects", "predict", "linear_systems"]


class Config(Section):
    """The configuration of a run."""

    run: str = key(
        "default",
        "Name of the run: its files are under `results/<run>/` and `logs/<run>/`.",
        source=PIPELINE,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
    )
    seed: int = key(
        1,
        "Root of all randomness; every job derives its own seed from it.",
        source=PIPELINE,
        ge=0,
        le=2**31 - 1,
    )
    device: Literal["auto", "cpu", "cuda"] = key(
        "auto",
        "Where models are fitted and sampled; `auto` is a CUDA device where there is one.",
        source=PIPELINE,
    )
    analyses: Annotated[tuple[Analysis, ...], Field(strict=False), BeforeValidator(distinct)] = key(
        ("benchmark",),
        "What the target `all` makes: `benchmark`, predictions for a screen, evaluated; "
        "`effects`, causal effects among its genes, modules, and their validation; `predict`, "
        "combinations that nobody measured; "
        "`linear_systems`, recovery of known causal effects, for which no screen is needed.",
        source=PIPELINE,
        min_length=1,
    )
    threads: Threads = Field(default_factory=Threads)
    environments: Environments = Field(default_factory=Environments)
    checkpoints: Checkpoints = Field(default_factory=Checkpoints)
    cluster: Cluster = Field(default_factory=Cluster)
    screen: Screen = Field(default_factory=Screen)
    simulation: Simulation = Field(default_factory=Simulation)
    quality_control: QualityControl = Field(default_factory=QualityControl)
    folds: Folds = Field(default_factory=Folds)
    genes: Genes = Field(default_factory=Genes)
    methods: Methods = Field(default_factory=Methods)  # type: ignore[arg-type]
    tuning: Tuning = Field(default_factory=Tuning)
    prediction: Prediction = Field(default_factory=Prediction)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    interactions: Interactions = Field(default_factory=Interactions)
    predictions: Predictions = Field(default_factory=Predictions)
    linear_systems: LinearSystems = Field(default_factory=LinearSystems)
    linear_drift: LinearDrift = Field(default_factory=LinearDrift)
    clipr: Clipr = Field(default_factory=Clipr)
    effects: Effects = Field(default_factory=Effects)
    modules: Modules = Field(default_factory=Modules)
    enrichment: Enrichment = Field(default_factory=Enrichment)

    @model_validator(mode="after")
    def _enough_doubles(self) -> "Config":
        if "benchmark" not in self.analyses:
            return self
        if self.folds.count == 0:
            raise contradiction(
                "folds.count",
                "the benchmark needs a fold of held-out doubles",
                "0",
                "raise folds.count, or leave `benchmark` out of the analyses",
            )
        needed = self.folds.count + self.folds.tuning_doubles
        if self.screen.kind == "simulated" and self.simulation.doubles < needed:
            raise contradiction(
                "simulation.doubles",
                "each fold needs a double to hold out, besides those for tuning",
                f"{self.simulation.doubles} doubles, {self.folds.count} folds, "
                f"{self.folds.tuning_doubles} tuning doubles",
                f"raise simulation.doubles to at least {needed} or lower folds.count",
            )
        return self

    @model_validator(mode="after")
    def _interactions_are_compared(self) -> "Config":
        metric = self.interactions.metric
        if metric is not None and metric not in self.evaluation.metrics:
            raise contradiction(
                "interactions.metric",
                "this metric is not computed",
                metric,
                f"name one of evaluation.metrics: {', '.join(self.evaluation.metrics)}",
            )
        return self

    @model_validator(mode="after")
    def _enough_genes(self) -> "Config":
        if self.genes.count is not None and self.evaluation.top_genes > self.genes.count:
            raise contradiction(
                "evaluation.top_genes",
                "more genes are compared than modelled",
                f"top_genes {self.evaluation.top_genes}, genes.count {self.genes.count}",
                "lower evaluation.top_genes or raise genes.count",
            )
        return self


def load_config(mapping: Mapping[str, Any], path: str | Path | Source) -> Config:
    """Check a configuration and fill in its defaults.

    Parameters
    ----------
    mapping
        The configuration as read, command line included.
    path
        Name of its file, or where its values come from, for messages.

    Raises
    ------
    InputError
        Names every mistake with its key, the offending value and the remedy.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            "the configuration must be a mapping from keys to values",
            where=str(path),
            found=readable(mapping),
            remedy="write lines such as `run: default`",
        )
    try:
        return Config.model_validate(dict(mapping))
    except ValidationError as error:
        mistakes = [explain(details, Config, path) for details in error.errors()]
    if len(mistakes) == 1:
        raise mistakes[0]
    raise InputError("\n".join([f"{len(mistakes)} mistakes in {path}", *map(str, mistakes)]))
