"""The schema of the configuration: every key with type, unit, default and source.

``config/README.md`` and ``config/schema.json`` are generated from here by
:mod:`pipeline.document_config`. A rule gets its settings from the :class:`Config` that
:func:`load_config` returns.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from lcd_core.errors import InputError
from pipeline.config_messages import explain

METHODS = "Lorch et al. 2026, Methods"
RELEASE = "code released with Lorch et al. 2026"
PIPELINE = "this pipeline"

NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

# step size (in units of alpha squared), steps per noise level
SAMPLER_PRESETS: dict[str, dict[str, float | int]] = {
    "released": {"step_size": 0.01, "steps_per_level": 500},
    "fine": {"step_size": 0.1, "steps_per_level": 100},
    "default": {"step_size": 1.0, "steps_per_level": 10},
    "fast": {"step_size": 1.0, "steps_per_level": 5},
}


def key(
    default: Any, description: str, *, source: str, unit: str | None = None, **constraints: Any
) -> Any:
    """Declare one key of the configuration."""
    extra = {"source": source} if unit is None else {"unit": unit, "source": source}
    constraints.setdefault("json_schema_extra", extra)
    return Field(default, description=description, **constraints)


def contradiction(field: str, what: str, found: str, remedy: str) -> PydanticCustomError:
    """Build the error for values that are valid one by one but not together."""
    context = {"field": field, "what": what, "found": found, "remedy": remedy}
    return PydanticCustomError("contradiction", "{what}", context)


def with_numbers(model: type[BaseModel], values: Any) -> Any:
    """Read text as a number (or null) where a key takes numbers only.

    Snakemake passes nested values of its command line as text, and YAML 1.1 takes ``1e-3`` for
    text.
    """
    if not isinstance(values, dict):
        return values
    read = dict(values)
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)
        text = values.get(name)
        if not isinstance(text, str) or not {int, float} & set(kinds):
            continue
        if int in kinds and re.fullmatch(r"[+-]?[0-9]+", text):
            read[name] = int(text)
        elif float in kinds and re.fullmatch(NUMBER, text):
            read[name] = float(text)
        elif type(None) in kinds and text in ("null", "~"):
            read[name] = None
    return read


def _distinct(values: Any) -> Any:
    if isinstance(values, list | tuple):
        repeated = sorted({str(value) for value in values if values.count(value) > 1})
        if repeated:
            raise PydanticCustomError(
                "repeated", "{what}", {"what": "values are repeated", "found": ", ".join(repeated)}
            )
    return values


def _kept(columns: Any) -> Any:
    """Bring ``{column: value or list of values}`` to sorted columns with tuples of values."""
    if not isinstance(columns, dict):
        return columns
    kept = {}
    for column in sorted(columns, key=str):
        values = columns[column]
        values = tuple(values) if isinstance(values, list | tuple) else (values,)
        if not values or not all(isinstance(value, str | bool | int | float) for value in values):
            what = "each column needs a value or a list of values (text, numbers, true or false)"
            found = f"{column}: {columns[column]!r}"
            raise PydanticCustomError("kept", "{what}", {"what": what, "found": found})
        kept[column] = values
    return kept


def _whole_numbers(values: Any) -> Any:
    """Read the items of a list as integers where they come as text, and in ascending order."""
    if not isinstance(values, list | tuple):
        return values
    read = [int(v) if isinstance(v, str) and re.fullmatch("[0-9]+", v) else v for v in values]
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in read)
    return sorted(read) if whole else read


def whole_numbers(**bounds: int) -> Any:
    """Type of a list of integers, each within the bounds."""
    item = Annotated[int, Field(**bounds)]
    return Annotated[
        tuple[item, ...],
        Field(strict=False),
        BeforeValidator(_distinct),
        BeforeValidator(_whole_numbers),
    ]


def fractions() -> Any:
    """Type of a list of shares above 0 and at most 1."""
    item = Annotated[float, Field(gt=0, le=1)]
    return Annotated[tuple[item, ...], Field(strict=False), BeforeValidator(_distinct)]


Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_distinct)]
Structure = Literal["erdos_renyi", "power_law"]
Analysis = Literal["benchmark", "effects", "linear_systems"]
MethodName = Literal["lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling"]
MetricName = Literal[
    "mmd_top_de",
    "mmd_all",
    "rmse_top_de",
    "pearson_mean",
    "pearson_delta",
    "pearson_delta_relative",
    "energy_distance_top_de",
    "energy_distance_all",
    "wasserstein1_top_de",
    "wasserstein1_all",
    "de_auroc",
    "de_ap",
]


class Section(BaseModel):
    """Keys that belong together; unknown ones are refused, and so are values of a wrong type."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _numbers_in_text(cls, values: Any) -> Any:
        return with_numbers(cls, values)


class Threads(Section):
    """Threads per job. They are part of the settings because results depend on them bit by bit."""

    fit: int = key(
        1,
        "Threads of one fit (prior, drift) and of its sampling, whatever `--cores` says.",
        source=PIPELINE,
        unit="threads",
        ge=1,
    )


ONE_VALUE = {"type": ["string", "boolean", "number"]}
KEPT_COLUMNS = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [ONE_VALUE, {"type": "array", "items": ONE_VALUE, "minItems": 1}]
    },
}


class Screen(Section):
    """Where the counts come from and how the file names its perturbations."""

    kind: Literal["simulated", "file", "download"] = key(
        "simulated",
        "`simulated`: a gene-regulatory simulation (section `simulation`); `file`: an h5ad file at "
        "`path`; `download`: an h5ad file fetched from `url` into `downloads/`.",
        source=PIPELINE,
    )
    path: str | None = key(
        None,
        "The h5ad file, relative to the working directory; with kind `file` only.",
        source=PIPELINE,
        min_length=1,
    )
    url: str | None = key(
        None,
        "Address of the h5ad file; with kind `download` only. Its last part names the file.",
        source=PIPELINE,
        pattern=r"^(https?|ftp)://[^?#]+/[^/?#]+\.h5ad([?#].*)?$",
    )
    size: int | None = key(
        None, "Size of the download; null leaves it unchecked.", source=PIPELINE, unit="bytes", ge=1
    )
    md5: str | None = key(
        None,
        "MD5 checksum of the download, in quotes; null leaves it unchecked.",
        source=PIPELINE,
        pattern=r"^[0-9a-f]{32}$",
    )
    sha256: str | None = key(
        None,
        "SHA-256 checksum of the download, in quotes; null leaves it unchecked.",
        source=PIPELINE,
        pattern=r"^[0-9a-f]{64}$",
    )
    counts: str = key(
        "X",
        "Where the raw integer counts are: `X`, or the name of a layer.",
        source="AnnData convention",
        min_length=1,
    )
    perturbation_column: str = key(
        "perturbation",
        "Column of `obs` that names the perturbation of each cell.",
        source="scPerturb convention",
        min_length=1,
    )
    control_label: str = key(
        "control",
        "Label of unperturbed cells in that column.",
        source="scPerturb convention",
        min_length=1,
    )
    separator: Names = key(
        ("+",),
        "What joins the targets of a combination; several are tried together.",
        source=PIPELINE,
    )
    ignore_labels: Names = key(
        (),
        "Target labels that mean no target, such as `NT` in `NT_MYC`, which is then the single "
        "`MYC`; a label of nothing else (`NT_NT`) is the control.",
        source=PIPELINE,
    )
    gene_name_column: str | None = key(
        None,
        "Column of `var` with the gene names; null takes the names of `var` itself.",
        source="AnnData convention",
        min_length=1,
    )
    keep: Annotated[
        dict[str, Annotated[tuple[str | bool | int | float, ...], Field(strict=False)]],
        BeforeValidator(_kept),
        WithJsonSchema(KEPT_COLUMNS),
    ] = key(
        {},
        "Columns of `obs` with the value, or list of values, that a cell must have to be kept, "
        "e.g. `{confident: true}`; `{}` keeps all.",
        source=PIPELINE,
    )

    @property
    def download_name(self) -> str:
        """File name of the download: the last part of ``url`` without its query."""
        return re.split("[?#]", self.url or "")[0].rsplit("/", 1)[-1]

    @model_validator(mode="after")
    def _source_matches_kind(self) -> "Screen":
        wanted = {"simulated": None, "file": "path", "download": "url"}[self.kind]
        if wanted is not None and getattr(self, wanted) is None:
            raise contradiction(
                f"screen.{wanted}",
                f"screen.kind is {self.kind}, but screen.{wanted} is not given",
                "null",
                f"give screen.{wanted}, or another screen.kind",
            )
        owners = {
            "path": "file",
            "url": "download",
            "size": "download",
            "md5": "download",
            "sha256": "download",
        }
        for field, kind in owners.items():
            value = getattr(self, field)
            if value is not None and kind != self.kind:
                raise contradiction(
                    f"screen.{field}",
                    f"screen.{field} has a meaning only where screen.kind is {kind}",
                    f"{value} with kind {self.kind}",
                    f"remove screen.{field} (or set it to null), or set screen.kind: {kind}",
                )
        return self

    @model_validator(mode="after")
    def _labels_can_be_told_apart(self) -> "Screen":
        if any(not separator for separator in self.separator) or not self.separator:
            raise contradiction(
                "screen.separator",
                "a separator is needed, and none may be empty",
                str(list(self.separator)),
                'give a list of texts, e.g. ["+"]',
            )
        if self.control_label in self.ignore_labels:
            raise contradiction(
                "screen.ignore_labels",
                "the control label is among the labels to ignore",
                self.control_label,
                "name control cells by screen.control_label alone",
            )
        return self


class Simulation(Section):
    """The simulated screen; read only where `screen.kind` is `simulated`."""

    genes: int = key(80, "Genes.", source=PIPELINE, unit="genes", ge=36, le=256)
    targets: int = key(
        12,
        "Genes that are perturbed singly: regulators first, then others.",
        source=PIPELINE,
        unit="genes",
        ge=1,
    )
    doubles: int = key(
        18,
        "Pairs of these that are perturbed together; pairs of regulators as long as there are any.",
        source=PIPELINE,
        unit="pairs",
        ge=0,
    )
    cells_per_condition: int = key(
        120, "Cells of each perturbation.", source=PIPELINE, unit="cells", ge=2
    )
    control_cells: int = key(300, "Unperturbed cells.", source=PIPELINE, unit="cells", ge=2)
    kind: Literal["activation", "knockdown"] = key(
        "activation",
        "Whether a perturbation raises or lowers the transcription of its target (CRISPRa, "
        "CRISPRi).",
        source=PIPELINE,
    )

    @model_validator(mode="after")
    def _enough_genes_and_pairs(self) -> "Simulation":
        if self.targets > self.genes:
            raise contradiction(
                "simulation.targets",
                "more targets than genes",
                f"{self.targets} targets, {self.genes} genes",
                "lower simulation.targets or raise simulation.genes",
            )
        pairs = self.targets * (self.targets - 1) // 2
        if self.doubles > pairs:
            raise contradiction(
                "simulation.doubles",
                f"{self.targets} targets have only {pairs} pairs",
                f"{self.doubles} doubles",
                f"lower simulation.doubles to at most {pairs} or raise simulation.targets",
            )
        return self


class QualityControl(Section):
    """Which genes, cells and perturbations are kept. null switches a filter off."""

    min_cells_per_gene: int | None = key(
        20,
        "Genes with counts in fewer cells are removed.",
        source=f"{METHODS} (20)",
        unit="cells",
        ge=1,
    )
    min_genes_per_cell: int | None = key(
        200,
        "Cells with counts of fewer genes are removed.",
        source=f"{METHODS} (200)",
        unit="genes",
        ge=1,
    )
    min_cells_per_perturbation: int | None = key(
        100,
        "Perturbations with fewer cells are removed.",
        source=f"{METHODS} (100)",
        unit="cells",
        ge=1,
    )
    mitochondrial_prefix: str = key(
        "MT-",
        "How the names of mitochondrial genes begin.",
        source="HGNC symbols",
        min_length=1,
    )
    max_mitochondrial_percent: float | None = key(
        None,
        "Cells with a larger share of mitochondrial counts are removed. Published: Norman 15, "
        "Wessels 20.",
        source=RELEASE,
        unit="percent",
        ge=0,
        le=100,
    )
    min_counts: int | None = key(
        None,
        "Cells with fewer counts are removed. Published: Norman 7,500, Wessels 3,000.",
        source=RELEASE,
        unit="counts",
        ge=1,
    )
    max_counts: int | None = key(
        None,
        "Cells with more counts are removed. Published: Wessels 40,000.",
        source=RELEASE,
        unit="counts",
        ge=1,
    )
    min_genes: int | None = key(
        None,
        "Cells with counts of fewer genes are removed as outliers. Published: Wessels 1,500.",
        source=RELEASE,
        unit="genes",
        ge=1,
    )
    max_genes: int | None = key(
        None,
        "Cells with counts of more genes are removed as outliers. Published: Norman 6,000, "
        "Wessels 6,500.",
        source=RELEASE,
        unit="genes",
        ge=1,
    )

    @model_validator(mode="after")
    def _bounds_leave_something(self) -> "QualityControl":
        for low, high in (
            ("min_counts", "max_counts"),
            ("min_genes", "max_genes"),
            ("min_genes_per_cell", "max_genes"),
        ):
            lower, upper = getattr(self, low), getattr(self, high)
            if lower is not None and upper is not None and lower > upper:
                raise contradiction(
                    f"quality_control.{low}",
                    f"no cell can pass: {low} is above {high}",
                    f"{low} {lower}, {high} {upper}",
                    f"lower {low} or raise {high}",
                )
        return self


class Folds(Section):
    """Which combinations are held out. Control and singles are always in training."""

    count: int = key(
        10,
        "Folds of held-out doubles; each double that is tested is held out once. At least 1 where "
        "`analyses` name the `benchmark`.",
        source=f"{METHODS} (10)",
        unit="folds",
        ge=0,
    )
    tuning_doubles: int = key(
        0,
        "Doubles reserved for choosing hyperparameters: half of them are held out in a fold of its "
        "own named `tuning`, and all are in training in the other folds. Published: 20; 0 here, "
        "since settings are not tuned by default.",
        source=f"{METHODS} (20)",
        unit="doubles",
        ge=0,
        multiple_of=2,
    )
    unmeasured_singles: Literal["refuse", "train", "test"] = key(
        "refuse",
        "What becomes of a double with a target that was never perturbed singly: `refuse` the "
        "screen, keep it in `train`ing, or allow it as a `test`.",
        source=PIPELINE,
    )
    max_test_doubles: int | None = key(
        None,
        "At most this many doubles are held out over all folds together, drawn with the seed; the "
        "others stay in training. null holds out all.",
        source=PIPELINE,
        unit="doubles",
        ge=1,
    )

    @model_validator(mode="after")
    def _folds_can_be_filled(self) -> "Folds":
        if self.max_test_doubles is not None and self.max_test_doubles < self.count:
            raise contradiction(
                "folds.max_test_doubles",
                "fewer doubles than folds",
                f"{self.max_test_doubles} doubles, {self.count} folds",
                "raise folds.max_test_doubles or lower folds.count",
            )
        return self


class Genes(Section):
    """Which genes are modelled; selected in each fold from its training cells."""

    count: int | None = key(
        1000,
        "Genes to model: targets first, then marker genes, then highly variable genes; null takes "
        "all that pass quality control.",
        source=f"{METHODS} (1,000)",
        unit="genes",
        ge=2,
    )
    markers_per_perturbation: int = key(
        20,
        "Marker genes of each training perturbation that take precedence.",
        source=f"{METHODS} (20)",
        unit="genes",
        ge=0,
    )


class Prior(Section):
    """Inference step 1: one implicit prior (a generator network) per condition."""

    latent_dimensions: int = key(
        64, "Dimensions of the noise.", source=f"{METHODS} (64)", unit="dimensions", ge=1
    )
    hidden: int = key(
        64,
        "Width of the residual blocks before the map to the genes.",
        source=f"{METHODS} (64)",
        unit="units",
        ge=1,
    )
    output_hidden: int = key(
        256,
        "Width of the residual blocks after it.",
        source=f"{METHODS} (256)",
        unit="units",
        ge=1,
    )
    blocks: int = key(
        4,
        "Residual blocks before the map to the genes.",
        source=f"{METHODS} (4)",
        unit="blocks",
        ge=0,
    )
    output_blocks: int = key(
        2, "Residual blocks after it.", source=f"{METHODS} (2)", unit="blocks", ge=0
    )
    steps: int = key(
        250_000,
        "Optimizer steps. A short run needs a larger `learning_rate`.",
        source=f"{METHODS} (250,000; 100,000 for Wessels)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = key(
        5_000,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (5,000)",
        unit="steps",
        ge=0,
    )
    learning_rate: float = key(
        3e-4,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.0003)",
        gt=0,
    )
    batch_cells: int = key(
        64,
        "Cells per condition and step.",
        source=f"{METHODS} (64)",
        unit="cells",
        ge=1,
    )
    monte_carlo_states: int = key(
        20_000,
        "States drawn from the prior per condition and step to estimate the evidence (M).",
        source=f"{METHODS} (20,000)",
        unit="states",
        ge=2,
    )
    temperature: float = key(
        20.0,
        "Temperature tau of the tempered evidence. Published: tuned over 5, 20, 100; Norman 20, "
        "Wessels 100.",
        source=f"{METHODS} (20)",
        ge=1,
    )
    gradient_clip: float = key(
        1.0, "Largest global norm of a gradient.", source=f"{METHODS} (1)", gt=0
    )
    conditions_per_step: int = key(
        1,
        "Conditions drawn in each step; 1 is the published schedule.",
        source=f"{METHODS} (1)",
        unit="conditions",
        ge=1,
    )
    samples: int = key(
        10_000,
        "States drawn from each learned prior to train the drift (N).",
        source=f"{METHODS} (10,000)",
        unit="states",
        ge=2,
    )
    beta2: float = key(
        0.99,
        "Decay of Adam's second moment; there is no first moment (its decay is 0, as published).",
        source=f"{METHODS} (0.99)",
        gt=0,
        lt=1,
    )
    log_every: int = key(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Prior":
        _check_warm_up("prior", self.warmup_steps, self.steps)
        return self


class States(Section):
    """The coordinates in which the drift is learned; standardised in either case."""

    transform: Literal["identity", "log_rate"] = key(
        "identity",
        "`identity`: the states themselves (published, and needed for causal effects); "
        "`log_rate`: log(rate + pseudocount), which shortens the meaningless tails of genes with "
        "few counts.",
        source=f"{METHODS} (identity)",
    )
    pseudocount: float = key(
        0.1, "Added to the rate inside the logarithm.", source=PIPELINE, unit="counts", gt=0
    )
    scaling: Literal["standard_deviation", "covariance"] = key(
        "standard_deviation",
        "What states are divided by: `standard_deviation` of each gene (published), or the square "
        "root of their whole `covariance`, which makes every direction equally long.",
        source=f"{METHODS} (standard_deviation)",
    )
    shrinkage: float = key(
        0.0,
        "Shrinks the covariance towards its diagonal: 0 not at all, 1 would leave the variances. "
        "With scaling `covariance` only.",
        source=PIPELINE,
        ge=0,
        lt=1,
    )


class Drift(Section):
    """Inference step 2: the drift, by denoising score matching."""

    section: ClassVar[str] = "drift"

    parameterization: Literal["plain", "linear_pull"] = key(
        "plain",
        "`plain`: Eq. 14 as printed; `linear_pull`: with the fixed linear part of the released "
        "code, which pulls to the origin.",
        source="Lorch et al. 2026, Eq. 14 (plain)",
    )
    hidden: int = key(
        2048,
        "Width of both hidden layers. Published: tuned over 1,024 and 2,048; Norman and Wessels "
        "1,024.",
        source=f"{METHODS} (2,048)",
        unit="units",
        ge=1,
    )
    embedding_dimensions: int = key(
        1024,
        "Dimensions of a target's embedding.",
        source=f"{METHODS} (1,024)",
        unit="dimensions",
        ge=1,
    )
    time_dimensions: int = key(
        64,
        "Dimensions of the sinusoidal embedding of the noise level's index; even. Published: not "
        "stated.",
        source=PIPELINE,
        unit="dimensions",
        ge=2,
        multiple_of=2,
    )
    noise_levels: int = key(
        30,
        "Noise levels alpha, in geometric progression.",
        source=f"{METHODS} (30)",
        unit="levels",
        ge=2,
    )
    alpha_min: float = key(
        0.01,
        "Smallest noise level, in standardised states.",
        source=f"{METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    alpha_max: float = key(
        10.0,
        "Largest noise level, in standardised states.",
        source=f"{METHODS} (10)",
        unit="standard deviations",
        gt=0,
    )
    steps: int = key(
        50_000,
        "Optimizer steps. Weight decay acts through learning rate x decay x steps: a shorter run "
        "needs a larger `weight_decay`.",
        source=f"{METHODS} (50,000)",
        unit="steps",
        ge=1,
    )
    warmup_steps: int = key(
        0,
        "Steps over which the learning rate rises linearly.",
        source=f"{METHODS} (none)",
        unit="steps",
        ge=0,
    )
    batch_states: int = key(
        8_192, "States per step.", source=f"{METHODS} (8,192)", unit="states", ge=1
    )
    learning_rate: float = key(
        1e-3,
        "Peak learning rate; it then falls to zero by a cosine.",
        source=f"{METHODS} (0.001)",
        gt=0,
    )
    weight_decay: float = key(
        1.0,
        "Decoupled weight decay. Published: tuned over 0.03, 0.1, 0.3, 1, 3; Norman 0.3, Wessels "
        "1.",
        source=f"{METHODS} (1)",
        ge=0,
    )
    conditions_per_batch: Literal["mixed", "single"] = key(
        "mixed",
        "`mixed`: a condition per state; `single`: one per step. Published: single, in text and "
        "released code; mixed fits better at equal compute.",
        source=f"{PIPELINE}; {METHODS} (single)",
    )
    levels_per_batch: Literal["mixed", "single"] = key(
        "mixed",
        "`mixed`: a noise level per state; `single`: one per step. Published: single in the text, "
        "mixed in the released code.",
        source=f"{RELEASE} (mixed); {METHODS} (single)",
    )
    log_every: int = key(
        100, "Steps between two rows of the training table.", source=PIPELINE, unit="steps", ge=1
    )

    @model_validator(mode="after")
    def _levels_and_warm_up(self) -> "Drift":
        if self.alpha_min >= self.alpha_max:
            raise contradiction(
                f"{self.section}.alpha_min",
                "the smallest noise level is not below the largest",
                f"alpha_min {self.alpha_min:g}, alpha_max {self.alpha_max:g}",
                f"lower {self.section}.alpha_min or raise {self.section}.alpha_max",
            )
        _check_warm_up(self.section, self.warmup_steps, self.steps)
        return self


class Sampling(Section):
    """The annealed sampler: the step at noise level alpha is `step_size` x alpha^2.

    The printed step of 0.0001 does not mix; the released code steps with 0.01.
    """

    preset: Literal["default", "fast", "fine", "released", "custom"] = key(
        "default",
        "Fills in `step_size` and `steps_per_level`: "
        + ", ".join(
            f"`{name}` {values['step_size']:g} and {values['steps_per_level']}"
            for name, values in SAMPLER_PRESETS.items()
        )
        + " (`released` is what the released code does); with `custom` give both.",
        source=PIPELINE,
    )
    step_size: float = key(
        1.0,
        "Step, in units of alpha^2 (delta); from the preset unless that is `custom`. Published: "
        "0.0001 in the text, 0.01 in the released code.",
        source=PIPELINE,
        unit="alpha^2",
        gt=0,
        lt=2,
    )
    steps_per_level: int = key(
        10,
        "Steps at each noise level; from the preset unless that is `custom`. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    draws_per_state: int = key(
        1,
        "Cells drawn from each state. Published: 1 in the text, 5 in the released code.",
        source=f"{METHODS} (1)",
        unit="cells",
        ge=1,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, values: Any) -> Any:
        values = with_numbers(cls, values)  # runs before the same step of the base class
        if not isinstance(values, dict):
            return values
        preset = values.get("preset", "default")
        given = {
            k: values[k] for k in ("step_size", "steps_per_level") if values.get(k) is not None
        }
        if preset == "custom":
            for field in ("step_size", "steps_per_level"):
                if field not in given:
                    raise contradiction(
                        f"sampling.{field}",
                        "the preset custom leaves this to you",
                        "null",
                        f"give sampling.{field}, or name one of the other presets",
                    )
        for field, value in SAMPLER_PRESETS.get(str(preset), {}).items():
            if given.get(field, value) != value:
                raise contradiction(
                    f"sampling.{field}",
                    f"the preset {preset} means {field} {value:g}",
                    str(given[field]),
                    f"remove sampling.{field}, or set sampling.preset: custom",
                )
            values = {**values, field: value}
        return values


class Prediction(Section):
    """What predicts the held-out combinations."""

    methods: Annotated[tuple[MethodName, ...], Field(strict=False), BeforeValidator(_distinct)] = (
        key(
            ("lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling"),
            "Methods to run: the model; control cells; random perturbed training cells; control "
            "cells shifted by the sum of the single effects; control cells shifted by the mean "
            "effect of the training combinations; one half of the observed cells.",
            source=f"{METHODS}; {PIPELINE}",
            min_length=1,
        )
    )
    cells: int = key(
        1000,
        "Cells that a method predicts for each perturbation.",
        source=f"{METHODS} (1,000)",
        unit="cells",
        ge=2,
    )


class Evaluation(Section):
    """How predictions are compared with the held-out cells."""

    metrics: Annotated[tuple[MetricName, ...], Field(strict=False), BeforeValidator(_distinct)] = (
        key(
            (
                "mmd_top_de",
                "mmd_all",
                "rmse_top_de",
                "pearson_mean",
                "pearson_delta",
                "pearson_delta_relative",
                "energy_distance_top_de",
                "wasserstein1_top_de",
                "wasserstein1_all",
            ),
            "Metrics to compute; `top_de` are the differentially expressed genes, `delta` changes "
            "from control.",
            source=f"{METHODS}; {PIPELINE}",
            min_length=1,
        )
    )
    top_genes: int = key(
        20,
        "Differentially expressed genes that the `top_de` metrics compare.",
        source=f"{METHODS} (20)",
        unit="genes",
        ge=1,
    )
    max_cells: int | None = key(
        None,
        "Cells compared at most on either side, drawn at random; null compares all.",
        source=PIPELINE,
        unit="cells",
        ge=2,
    )
    check_cells: int = key(
        200,
        "Cells generated for each training condition to check the fits of prior and drift.",
        source=PIPELINE,
        unit="cells",
        ge=2,
    )


class LinearSystems(Section):
    """Linear systems with known causal effects, drawn at random; a fit for each of them."""

    structures: Annotated[
        tuple[Structure, ...], Field(strict=False), BeforeValidator(_distinct)
    ] = key(
        ("erdos_renyi", "power_law"),
        "`erdos_renyi`: independent links; `power_law`: few regulators with many targets.",
        source=f"{METHODS} (both)",
        min_length=1,
    )
    genes: whole_numbers(ge=2) = key(  # type: ignore[valid-type]
        (100,),
        "Numbers of genes. Published: 100, 300, 1,000.",
        source=METHODS,
        unit="genes",
        min_length=1,
    )
    perturbed_percent: whole_numbers(ge=1, le=100) = key(  # type: ignore[valid-type]
        (100,),
        "Shares of the genes that are perturbed, one gene per perturbation. The systems of one "
        "number differ in this alone. Published: several, up to 100.",
        source=METHODS,
        unit="percent",
        min_length=1,
    )
    systems: int = key(
        10,
        "Systems for each structure, number of genes and share of perturbed genes.",
        source=f"{METHODS} (10)",
        unit="systems",
        ge=1,
    )
    samples_per_condition: int = key(
        200,
        "Samples of the stationary distribution of the control and of each perturbation.",
        source=f"{METHODS} (200)",
        unit="samples",
        ge=2,
    )
    sigma: float = key(
        math.sqrt(2.0),
        "Diffusion scale of the systems; a learned A is (2 / sigma^2) times the true one, since "
        "the model's own is the square root of 2. Published: not stated; the released code "
        "simulates with 1.",
        source=f"{METHODS} (that of the model)",
        gt=0,
    )
    links_per_gene: int = key(
        10,
        "Causes per gene: expected (`erdos_renyi`), or at most, when a gene is added "
        "(`power_law`).",
        source=f"{METHODS} (10)",
        unit="links",
        ge=1,
    )
    strength: float = key(
        2.0,
        "Strength of preferential attachment, for `power_law`.",
        source=f"{METHODS} (2)",
        ge=0,
    )
    flip_probability: float = key(
        0.1,
        "Probability that a link is reversed, for `power_law`.",
        source=f"{METHODS} (0.1)",
        ge=0,
        le=1,
    )
    threshold: float = key(
        0.5,
        "Effects beyond it on either side are called positive or negative by the metrics `f1` and "
        "`f1_among@k`.",
        source=f"{METHODS} (0.5)",
        ge=0,
    )
    top_effects_per_gene: whole_numbers(ge=1) = key(  # type: ignore[valid-type]
        (1, 2, 5, 10, 20),
        "The metrics at k score the k strongest effects, k being so many times the number of "
        "genes.",
        source=PIPELINE,
        unit="effects per gene",
        min_length=1,
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> "LinearSystems":
        genes = min(self.genes)
        for field, most in (
            ("links_per_gene", self.links_per_gene),
            ("top_effects_per_gene", max(self.top_effects_per_gene)),
        ):
            if most >= genes:
                raise contradiction(
                    f"linear_systems.{field}",
                    "a gene has no more than one effect on each of the others",
                    f"{most}, {genes} genes",
                    f"lower linear_systems.{field} to at most {genes - 1} or raise "
                    "linear_systems.genes",
                )
        percent = min(self.perturbed_percent)
        if round(genes * percent / 100) < 1:
            raise contradiction(
                "linear_systems.perturbed_percent",
                "no gene would be perturbed",
                f"{percent}% of {genes} genes",
                "raise linear_systems.perturbed_percent",
            )
        return self


class LinearDrift(Drift):
    """The drift of the linear systems: keys as in `drift`, with values of its own.

    It is trained on the states of a system themselves; there is no measurement model.
    """

    section: ClassVar[str] = "linear_drift"

    scaling: Literal["standard_deviation", "covariance"] = key(
        "covariance",
        "What states are divided by: `standard_deviation` of each gene (published), or the square "
        "root of their whole `covariance`, which makes every direction equally long. Published: "
        "standard_deviation.",
        source=f"{PIPELINE}; {METHODS} (standard_deviation)",
    )
    steps_from_1000_genes: int | None = key(
        None,
        "Optimizer steps for systems of 1,000 genes or more; null: `steps`. Published: 100,000 for "
        "large systems.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )

    @model_validator(mode="after")
    def _warm_up_of_large_systems(self) -> "LinearDrift":
        if self.steps_from_1000_genes is not None:
            _check_warm_up(self.section, self.warmup_steps, self.steps_from_1000_genes)
        return self


class Clipr(Section):
    """CLIPR: causal effects from the responses of a drift to perturbations."""

    level_alpha: float = key(
        0.3,
        "Noise level at which the initial responses are read and the limit responses end; the "
        "nearest of the drift's levels, by ratio. Published: the smallest, 0.01, which magnifies "
        "every error of the network a hundredfold.",
        source=f"{PIPELINE}; {METHODS} (0.01)",
        unit="standard deviations",
        gt=0,
    )
    origin: Literal["control_mean", "zero"] = key(
        "control_mean",
        "State at which the initial responses are read and from which limit responses are "
        "measured: the mean of the control, where the drift has seen data, or the `zero` of the "
        "states. The same for a linear drift.",
        source=f"{PIPELINE}; {METHODS} (zero)",
    )
    solver: Literal["anderson", "flow"] = key(
        "anderson",
        "How limit responses are found: `flow`, annealed steps along the drift as published; "
        "`anderson`, the fixed point at that level by accelerated iterations, which need fewer "
        "evaluations and converge where the flow stops short.",
        source=f"{PIPELINE}; {METHODS} (flow)",
    )
    step_size: float = key(1.0, "Step of the flow.", source=PIPELINE, unit="alpha^2", gt=0, lt=2)
    steps_per_level: int = key(
        20,
        "Steps of the flow at each noise level. Published: 500.",
        source=PIPELINE,
        unit="steps",
        ge=1,
    )
    ridge: float | None = key(
        None,
        "Strength of regularisation lambda; 0 is the pseudoinverse, null 1 / (10 x genes). "
        "Published: that, and 0.01 for the genome-wide screen.",
        source=f"{METHODS} (1 / (10 x genes))",
        ge=0,
    )
    tolerance: float = key(
        1e-3,
        "A limit response has converged if the drift left there is at most this share of the "
        "initial response.",
        source=PIPELINE,
        gt=0,
    )
    exclude_unconverged: bool = key(
        False,
        "Whether perturbations without a converged limit are left out of the estimate. They are "
        "named and flagged in any case.",
        source=PIPELINE,
    )


class Effects(Section):
    """Causal effects among the genes of a screen, from models of all its conditions."""

    seeds: int = key(
        3,
        "Fits (prior and drift) with different seeds; effects are their mean, with standard "
        "deviation and agreement in sign. Published: 1.",
        source=f"{PIPELINE}; {METHODS} (1)",
        unit="fits",
        ge=1,
    )
    transform: Literal["identity", "log_rate"] | None = key(
        None,
        "`states.transform` of the fits to all conditions, from which effects are read; null takes "
        "that of `states`. What suits effects need not suit predictions.",
        source=PIPELINE,
    )
    scaling: Literal["standard_deviation", "covariance"] | None = key(
        None, "Likewise, `states.scaling`.", source=PIPELINE
    )
    shrinkage: float | None = key(
        None, "Likewise, `states.shrinkage`.", source=PIPELINE, ge=0, lt=1
    )
    edges: int = key(
        50,
        "Strongest effects that are exported, drawn as a network, and whose causes are held out.",
        source=f"{METHODS} (50)",
        unit="edges",
        ge=1,
    )
    held_out_folds: int = key(
        5,
        "Folds of the causes of the strongest edges: for each, a model is fitted without the "
        "perturbations of its causes, and their edges are validated; 0 leaves this out.",
        source=f"{METHODS} (5)",
        unit="folds",
        ge=0,
    )
    top_fractions: fractions() = key(  # type: ignore[valid-type]
        (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        "Strongest shares of the edges that could be tested at which they are validated.",
        source=PIPELINE,
        min_length=1,
    )
    de_alpha: float = key(
        0.05,
        "False discovery rate below which a gene counts as differentially expressed "
        "(Mann-Whitney U against control, Benjamini-Hochberg over the genes of a perturbation).",
        source=f"{METHODS} (0.05)",
        gt=0,
        lt=1,
    )
    resamples: int = key(
        2000,
        "Bootstrap resamples of the intervals of lift and conviction.",
        source=PIPELINE,
        unit="resamples",
        ge=1,
    )


class Modules(Section):
    """Gene modules: average linkage of graph distances of the effects, cut into clusters."""

    cut: Literal["markers", "height", "number"] = key(
        "markers",
        "Where the tree is cut: at the lowest height that puts all `markers` into one cluster, at "
        "a `height`, or into a `number` of clusters.",
        source=f"{METHODS} (markers)",
    )
    markers: Names = key(
        ("RPL*", "RPS*"),
        "Names of genes, or patterns, that belong together.",
        source=f"{METHODS} (ribosomal protein genes)",
    )
    height: float | None = key(
        None, "Height of the cut, in inverse units of the effects.", source=PIPELINE, gt=0
    )
    number: int | None = key(
        None,
        "Clusters, counted before small ones are dropped.",
        source=PIPELINE,
        unit="clusters",
        ge=1,
    )
    min_size: int = key(
        5, "Clusters of fewer genes are dropped.", source=f"{METHODS} (5)", unit="genes", ge=1
    )

    @model_validator(mode="after")
    def _cut_is_given(self) -> "Modules":
        missing = {
            "markers": not self.markers,
            "height": self.height is None,
            "number": self.number is None,
        }
        if missing[self.cut]:
            raise contradiction(
                f"modules.{self.cut}",
                f"modules.cut is {self.cut}, but modules.{self.cut} is not given",
                "null" if self.cut != "markers" else "[]",
                f"give modules.{self.cut}, or another modules.cut",
            )
        return self


class Enrichment(Section):
    """Gene sets that are over-represented in modules."""

    gene_sets: Names = key(
        (),
        "GMT files with the names of genes as in the screen; none leaves enrichment out. Files "
        "under `downloads/msigdb/<version>/`, such as `downloads/msigdb/2024.1.Hs/c5.go.bp.gmt`, "
        "are fetched from MSigDB.",
        source=f"{METHODS} (C5.GO and C2.CP of MSigDB)",
    )
    alpha: float = key(
        0.01,
        "False discovery rate (Benjamini-Hochberg over modules and terms together).",
        source=f"{METHODS} (0.01)",
        gt=0,
        lt=1,
    )
    top_terms: int = key(
        5,
        "Terms shown for each module, by odds ratio.",
        source=f"{METHODS} (5)",
        unit="terms",
        ge=1,
    )


class Config(Section):
    """The configuration of a run."""

    run: str = key(
        "default",
        "Name of the run: its files are under `results/<run>/` and `logs/<run>/`.",
        source=PIPELINE,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
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
    analyses: Annotated[tuple[Analysis, ...], Field(strict=False), BeforeValidator(_distinct)] = (
        key(
            ("benchmark",),
            "What the target `all` makes: `benchmark`, predictions for a screen, evaluated; "
            "`effects`, causal effects among its genes, modules, and their validation; "
            "`linear_systems`, recovery of known causal effects, for which no screen is needed.",
            source=PIPELINE,
            min_length=1,
        )
    )
    threads: Threads = Field(default_factory=Threads)
    screen: Screen = Field(default_factory=Screen)
    simulation: Simulation = Field(default_factory=Simulation)
    quality_control: QualityControl = Field(default_factory=QualityControl)
    folds: Folds = Field(default_factory=Folds)
    genes: Genes = Field(default_factory=Genes)
    prior: Prior = Field(default_factory=Prior)
    states: States = Field(default_factory=States)
    drift: Drift = Field(default_factory=Drift)
    sampling: Sampling = Field(default_factory=Sampling)
    prediction: Prediction = Field(default_factory=Prediction)
    evaluation: Evaluation = Field(default_factory=Evaluation)
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
    def _enough_genes(self) -> "Config":
        if self.genes.count is not None and self.evaluation.top_genes > self.genes.count:
            raise contradiction(
                "evaluation.top_genes",
                "more genes are compared than modelled",
                f"top_genes {self.evaluation.top_genes}, genes.count {self.genes.count}",
                "lower evaluation.top_genes or raise genes.count",
            )
        return self


def _check_warm_up(section: str, warmup_steps: int, steps: int) -> None:
    if warmup_steps >= steps:
        raise contradiction(
            f"{section}.warmup_steps",
            "the warm-up does not end before the last step",
            f"warmup_steps {warmup_steps}, steps {steps}",
            f"lower {section}.warmup_steps or raise {section}.steps",
        )


def load_config(mapping: Mapping[str, Any], path: str | Path) -> Config:
    """Check a configuration and fill in its defaults.

    Parameters
    ----------
    mapping
        The configuration as read, command line included.
    path
        Name of its file, for messages.

    Raises
    ------
    InputError
        Names every mistake with its key, the offending value and the remedy.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            "the configuration must be a mapping from keys to values",
            where=str(path),
            found=repr(mapping),
            remedy="write lines such as `run: default`",
        )
    try:
        return Config.model_validate(dict(mapping))
    except ValidationError as error:
        mistakes = [explain(details, Config, path) for details in error.errors()]
    if len(mistakes) == 1:
        raise mistakes[0]
    raise InputError("\n".join([f"{len(mistakes)} mistakes in {path}", *map(str, mistakes)]))
