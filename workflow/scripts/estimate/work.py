"""What each job of a run has to do, in steps that a probe can measure.

A job takes the start of a process, so many steps of a few kinds (:mod:`estimate.probe`), and a
constant for what is not measured. Where the constant, or a number of steps, is a guess, the job's
time is called rough.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from estimate.dimensions import Dimensions
from estimate.planned import Job
from evaluation.registry import metrics_of
from lcd_core.settings import PRESETS, DriftSettings, PriorSettings, SamplerSettings
from pipeline.combinations import FLOW
from pipeline.config.config import Config
from pipeline.plan import TUNED, Plan, Variant
from pipeline.screen import CONTROL, targets_of

STAGES = (
    "screen and folds",
    "priors",
    "drifts",
    "checks of the fits",
    "predictions by LCD",
    "other methods",
    "metrics",
    "effects",
    "predicted combinations",
    "linear systems",
    "figures and tables",
)
SCREEN = (
    "simulate_screen",
    "import_screen",
    "filter_screen",
    "differential_expression",
    "summarise_perturbations",
    "make_folds",
    "select_genes",
    "hold_out_causes",
)
NOT_COUNTED = ("download_screen", "download_gene_sets", "make_environment", "all")
"""Rules whose time is that of the network, and the target itself."""
OTHER_PEOPLES = ("cpa_fit", "gears_fit", "run_cell_eval", "run_scperteval")
"""Rules that start other people's packages, whose time nothing here says."""
METRICS = ("compute_metrics", "compute_tuning_metrics")
"""Rules that compare predictions with held-out cells, of a whole fold or one of a grid."""
SINGLE_THREADED = (*METRICS, "measure_predictions")
"""Of the rules whose work is known, those that use one thread whatever the configuration."""
FIGURE, TABLE = 4.0, 1.0
"""Seconds of a figure and of a table beyond the start of their job."""
SMALL_STEP = 0.003
"""Seconds of a step of a small network other than LCD's."""
STATES = 4096
"""States of predicted combinations that are drawn together."""
INTERACTION, ITS_GENES = 0.07, 200
"""Seconds of measuring the interaction of a pair, at so many genes; they grow with their square."""
COMPARATORS = 3.0
"""Estimators of a linear system together, in estimates by the default one."""


@dataclass(frozen=True)
class Work:
    """What a job does after its start.

    Attributes
    ----------
    steps
        Numbers of steps, each with a task of :mod:`estimate.probe` as JSON.
    seconds
        What is not measured.
    rough
        Whether a part of it is guessed.
    """

    steps: tuple[tuple[float, str], ...] = ()
    seconds: float = 0.0
    rough: bool = False


@dataclass(frozen=True)
class Estimate:
    """Seconds of a job, and whether they are rough."""

    job: Job
    seconds: float
    rough: bool
    threads: int = 1


def task(kind: str, **what: Any) -> str:
    """A task as text, by which equal ones are measured once."""
    return json.dumps({"kind": kind, **what}, sort_keys=True)


@dataclass
class Workload:
    """The work of the jobs of one configuration.

    Parameters
    ----------
    config, plan
        The configuration and its plan.
    data
        Sizes of its data.
    """

    config: Config
    plan: Plan
    data: Dimensions
    _by_rule: dict[str, Callable[[Job], Work]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_rule = {
            "lcd_fit_prior": self._prior,
            "lcd_fit_drift": self._drift,
            "lcd_predict": self._predict,
            "lcd_check_fits": self._check,
            "compute_metrics": self._metrics,
            "compute_tuning_metrics": self._metrics,
            "estimate_effects": self._effects,
            "predict_combinations": self._combinations,
            "measure_predictions": self._interactions,
            "sample_combinations": self._cells_of_combinations,
            "differential_expression": self._tests,
            "fit_linear_drift": self._linear_drift,
            "score_linear_system": self._linear_scores,
        }

    def work(self, job: Job) -> Work | None:
        """What a job does; None where nothing here says how long it takes."""
        if job.rule in NOT_COUNTED or job.rule in OTHER_PEOPLES:
            return None
        if job.rule in self._by_rule:
            return self._by_rule[job.rule](job)
        method = next((m for m in self.plan.methods if job.rule.startswith(f"{m}_")), None)
        if method is not None:
            settings = self._settings(method, job)
            steps = settings.get("steps", 0) if settings else 0
            return Work(seconds=TABLE + SMALL_STEP * steps, rough=True)
        figure = job.rule.startswith("draw_")
        return Work(seconds=FIGURE if figure else TABLE, rough=True)

    def threads(self, job: Job) -> int:
        """Threads of a job."""
        measured = job.rule in self._by_rule and job.rule not in SINGLE_THREADED
        return self.config.threads.fit if measured else 1

    # --- sizes of a fold --------------------------------------------------------------------------

    def _held_out(self, fold: str) -> int:
        """Perturbations that a fold tests."""
        if fold == "tuning":
            return self.config.folds.tuning_doubles // 2
        if not fold.isdigit() or not self.config.folds.count:
            return 0
        return -(-len(self.data.testable(self.config)) // self.config.folds.count)

    def _trained(self, fold: str) -> int:
        """Conditions that a fold trains on."""
        return max(1, self.data.conditions - self._held_out(fold))

    def _settings(self, method: str, job: Job) -> dict[str, Any]:
        name = Variant.parse(job.wildcards.get("variant", "default")).settings
        known = self.plan.variants(method)
        return (
            self.plan.all_settings(
                method, "default" if name == TUNED or name not in known else name
            )
            if self.plan.methods[method].settings is not None
            else {}
        )

    def _lcd(self, job: Job) -> dict[str, Any]:
        return self._settings("lcd", job)

    def _sampling(self, job: Job, cells: int, changes: Mapping[str, Any] | None = None) -> str:
        own = self._lcd(job)
        sampler = {name: value for name, value in own["sampling"].items() if name != "preset"}
        sampler |= changes or {}
        SamplerSettings(**sampler)
        return task(
            "sampling",
            genes=self.data.genes,
            targets=max(1, self.data.targets),
            cells=cells,
            drift=own["drift"],
            sampler=sampler,
        )

    def _scores(self, predicted: int, observed: int, metrics: Sequence[str]) -> str:
        evaluation = self.config.evaluation
        most = evaluation.max_cells or max(predicted, observed)
        return task(
            "scores",
            genes=self.data.genes,
            predicted=min(predicted, most),
            observed=min(observed, most),
            metrics=list(metrics),
            top_genes=evaluation.top_genes,
            components=evaluation.components,
        )

    # --- rules ------------------------------------------------------------------------------------

    def _prior(self, job: Job) -> Work:
        own = PriorSettings(**self._lcd(job)["prior"])
        step = task(
            "prior",
            genes=self.data.genes,
            cells=max(2, self.data.median_cells),
            conditions=self._trained(job.wildcards["fold"]),
            settings=self._lcd(job)["prior"],
        )
        return Work(((own.steps, step),))

    def _drift(self, job: Job) -> Work:
        own = DriftSettings(**self._lcd(job)["drift"])
        step = task(
            "drift",
            genes=self.data.genes,
            targets=max(1, self.data.targets),
            conditions=self._trained(job.wildcards["fold"]),
            settings=self._lcd(job)["drift"],
        )
        return Work(((own.steps, step),))

    def _predict(self, job: Job) -> Work:
        one = self._sampling(job, self.config.prediction.cells)
        return Work(((self._held_out(job.wildcards["fold"]), one),))

    def _check(self, job: Job) -> Work:
        cells, own = self.config.evaluation.check_cells, max(2, self.data.median_cells)
        trained, metrics = self._trained(job.wildcards["fold"]), ("mmd_top_de", "mmd_all")
        control = self.data.cells.get(CONTROL, own)
        return Work(
            (
                (trained, self._sampling(job, cells)),
                (2 * trained, self._scores(cells, own, metrics)),
                (trained, self._scores(control, own, metrics)),
                (trained, self._scores(own // 2, own // 2, metrics)),
            )
        )

    def _metrics(self, job: Job) -> Work:
        evaluation = self.config.evaluation
        names = metrics_of("perturbation", evaluation.metrics, cells=True)
        half = max(2, self.data.median_cells // 2)
        held_out = self._held_out(job.wildcards.get("fold", "tuning"))
        if job.rule == "compute_metrics":
            held_out *= len(self.plan.benchmark)
        if evaluation.cells == "equal":
            return Work(((held_out * evaluation.splits, self._scores(half, half, names)),))
        whole = self._scores(self.config.prediction.cells, self.data.median_cells, names)
        return Work(((held_out, whole),))

    def _panel(self, part: str) -> int:
        """Combinations of a part of the panel, or the control and the singles; without a screen
        that passed quality control, of those that the configuration names or makes of it.
        """
        own = self.config.predictions
        singles = sum(len(targets_of(name)) == 1 for name in self.data.cells if name != CONTROL)
        if part == "references":
            return singles + 1
        size = len(own.combinations) + len(own.cells_of)
        if own.file and Path(own.file).is_file():
            size += len(Path(own.file).read_bytes().splitlines())
        sizes = range(2, min(own.up_to, len(own.targets)) + 1)
        size += sum(math.comb(len(own.targets), k) for k in sizes)
        if own.all_pairs or not (own.combinations or own.file or own.targets):
            size += math.comb(singles, 2)
        return -(-size // own.parts)

    def _combinations(self, job: Job) -> Work:
        own = self.config.predictions
        per_level = 1 if own.sampler == FLOW else PRESETS[own.sampler].steps_per_level
        one = self._sampling(job, STATES, {"steps_per_level": per_level})
        return Work(((self._panel(job.wildcards["part"]) * own.states / STATES, one),), 0.0, True)

    def _interactions(self, job: Job) -> Work:
        genes = min(self.config.predictions.interaction_genes, self.data.genes)
        each = INTERACTION * (genes / ITS_GENES) ** 2
        return Work(seconds=TABLE + each * self._panel(job.wildcards["part"]), rough=True)

    def _cells_of_combinations(self, job: Job) -> Work:
        own = self.config.predictions
        return Work(((len(own.cells_of), self._sampling(job, own.cells)),), TABLE, rough=True)

    def _effects(self, job: Job) -> Work:
        own = self.config.effects
        one = task(
            "effects",
            genes=self.data.genes,
            perturbations=max(1, self.data.conditions - 1),
            targets=max(1, self.data.targets),
            drift=self._lcd(job)["drift"],
            estimator=own.estimator,
            draws=own.draws,
        )
        return Work(((1, one),), TABLE, rough=True)

    def _tests(self, job: Job) -> Work:
        own = max(2, self.data.median_cells)
        one = task(
            "tests", genes=self.data.all_genes, control=self.data.cells.get(CONTROL, own), cells=own
        )
        return Work(((self.data.conditions - 1, one),), TABLE)

    def _linear(self, job: Job) -> tuple[int, int, dict[str, Any]]:
        genes, percent = int(job.wildcards["genes"]), int(job.wildcards["percent"])
        settings = self.config.linear_drift.model_dump(mode="json", exclude={"scaling"})
        long = settings.pop("steps_from_1000_genes")
        if long is not None and genes >= 1000:
            settings["steps"] = long
        samples = self.config.linear_systems.samples_per_condition
        return genes, max(1, round(genes * percent / 100)), {**settings, "samples": samples}

    def _linear_drift(self, job: Job) -> Work:
        genes, perturbed, settings = self._linear(job)
        step = task(
            "drift", genes=genes, targets=perturbed, conditions=1 + perturbed, settings=settings
        )
        return Work(((settings["steps"], step),))

    def _linear_scores(self, job: Job) -> Work:
        genes, perturbed, settings = self._linear(job)
        one = task(
            "effects", genes=genes, perturbations=perturbed, targets=perturbed, drift=settings,
            estimator="adaptive_rows", draws=30,
        )  # fmt: skip
        return Work(((COMPARATORS, one),), TABLE, rough=True)


def stage_of(job: Job) -> str:
    """The stage that a job belongs to, one of :data:`STAGES`."""
    rule, methods = job.rule, "variant" in job.wildcards
    known = {
        "lcd_fit_prior": "priors",
        "lcd_fit_drift": "drifts",
        "lcd_check_fits": "checks of the fits",
        "lcd_predict": "predictions by LCD",
        "predict_quickly": "other methods",
        "compute_metrics": "metrics",
        "compute_tuning_metrics": "metrics",
        "measure_interactions": "metrics",
        "estimate_effects": "effects",
        "predict_combinations": "predicted combinations",
        "measure_predictions": "predicted combinations",
        "summarise_predictions": "predicted combinations",
        "sample_combinations": "predicted combinations",
        "list_combinations": "predicted combinations",
    }
    if rule in known:
        return known[rule]
    if rule in SCREEN:
        return "screen and folds"
    if "linear" in rule and not methods:
        return "linear systems"
    if rule.startswith(("draw_", "write_", "aggregate_")):
        return "figures and tables"
    if methods:
        return "other methods"
    words = ("effects", "causes", "modules", "edges", "recovery", "gene_sets")
    return "effects" if any(word in rule for word in words) else "figures and tables"


def estimated(
    jobs: Sequence[Job], load: Workload, seconds: Mapping[str, float], start: float
) -> tuple[list[Estimate], list[Job]]:
    """Seconds of every job, and the jobs of which nothing is known.

    Parameters
    ----------
    jobs
        The jobs of a plan.
    load
        What they do.
    seconds
        Measured seconds of every task.
    start
        Seconds of the start of a job.
    """
    found, unknown = [], []
    for job in jobs:
        work = load.work(job)
        if work is None:
            unknown.append(job)
            continue
        own = sum(number * seconds[step] for number, step in work.steps)
        found.append(Estimate(job, start + own + work.seconds, work.rough, load.threads(job)))
    return found, unknown


def longest_chain(estimates: Sequence[Estimate], held_out_causes: int) -> float:
    """Seconds that no number of cores can save: jobs that wait for each other."""

    def most(*rules: str) -> float:
        return sum(
            max((own.seconds for own in estimates if own.job.rule == rule), default=0.0)
            for rule in rules
        )

    fit = most("lcd_fit_prior", "lcd_fit_drift")
    after = [
        most("lcd_check_fits"),
        most("lcd_predict", "compute_metrics"),
        most("predict_combinations", "measure_predictions"),
    ]
    of_effects = most("estimate_effects")
    again = fit + of_effects if of_effects and held_out_causes else 0.0  # chosen by the effects
    after.append(of_effects + again)
    linear = most("make_linear_system", "fit_linear_drift", "score_linear_system")
    return max(most(*SCREEN) + fit + max(after), linear)
