"""How long a run takes: its jobs, what they do, what a step takes, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from estimate import probe
from estimate.dimensions import Dimensions, dimensions
from estimate.planned import Job, jobs_in, options_of
from estimate.tell import duration, told
from estimate.work import STAGES, Estimate, Work, Workload, estimated, longest_chain, stage_of
from lcd_core.errors import InputError
from lcd_core.settings import PRESETS
from pipeline.config.config import Config, load_config
from pipeline.plan import Plan
from pipeline.screen import CONTROL, targets_of
from pipeline.tables import read_tsv
from screen import filter_screen, import_screen
from tests.scripts.screens import counts_and_labels, user_file

ROOT = Path(__file__).parents[2]
PLAN = """
Building DAG of jobs...
localrule write_settings:
    output: results/x/settings/lcd/default/fit_prior.json
    jobid: 5
    reason: Missing output files: ...
    wildcards: method=lcd, settings_name=default, program=fit_prior

rule lcd_fit_prior:
    input: results/x/folds/1/data/train.h5ad
    wildcards: fold=1, variant=wide.seed2
    threads: 2
    resources: mem_mb=16000, runtime=1440, gres=gpu:1

Job stats:
job              count
lcd_fit_prior        1
"""


@pytest.fixture(scope="module")
def default() -> Config:
    values = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    return load_config(values, "config/config.yaml")


@pytest.fixture
def load(default: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workload:
    monkeypatch.chdir(tmp_path)
    return Workload(default, Plan(default, "x"), dimensions(default))


def job(rule: str, **wildcards: str) -> Job:
    return Job(rule, wildcards, {}, False)


def test_jobs_are_read_from_a_dry_run() -> None:
    first, second = jobs_in(PLAN)
    assert (first.rule, first.is_local, first.wildcards["program"]) == (
        "write_settings", True, "fit_prior",
    )  # fmt: skip
    assert (second.rule, second.is_local) == ("lcd_fit_prior", False)
    assert second.wildcards == {"fold": "1", "variant": "wide.seed2"}
    assert second.resources["gres"] == "gpu:1"


def test_a_configuration_is_handed_on() -> None:
    assert options_of([], []) == []
    assert options_of(["a.yaml"], ["run=b"]) == ["--configfile", "a.yaml", "--config", "run=b"]


# --- sizes of the data ----------------------------------------------------------------------------


def test_a_simulation_has_the_sizes_of_its_settings(load: Workload) -> None:
    data = load.data
    assert (data.genes, data.conditions, data.median_cells) == (60, 79, 120)
    assert (len(data.singles), len(data.combinations), data.targets) == (60, 18, 60)


def test_a_file_has_the_sizes_that_it_has_once_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts, labels = counts_and_labels(n_cells=20)
    counts[:, 3] = 0
    counts[:5, 3] = 1
    keep = np.r_[0:100, 118:140]  # two cells of a combination
    path = user_file(tmp_path / "s.h5ad", counts[keep], labels[keep])
    config = load_config(
        {
            "screen": {"kind": "file", "path": path},
            "quality_control": {
                "min_cells_per_gene": 10, "min_genes_per_cell": None,
                "min_cells_per_perturbation": 5,
            },
            "genes": {"count": 1000},
        },
        "x",
    )  # fmt: skip
    found = dimensions(config)
    screen = config.screen.model_dump(mode="json")
    for key in ("kind", "path", "url", "size", "md5", "sha256"):
        del screen[key]
    import_screen.main(raw=path, screen="imported.h5ad", **screen)
    results = tmp_path / "results/default/screen"
    results.mkdir(parents=True)
    filter_screen.main(
        screen="imported.h5ad", filtered=str(results / "filtered.h5ad"), table="t.tsv",
        conditions=str(results / "conditions.tsv"), removed_genes="r.tsv",
        **config.quality_control.model_dump(mode="json"),
    )  # fmt: skip
    table = read_tsv(str(results / "conditions.tsv"))
    assert found.cells == dict(zip(table["perturbation"], table["n_cells"], strict=True))
    assert (found.all_genes, found.genes) == (11, 11)
    later = dimensions(config)
    assert (later.cells, later.genes, later.all_genes) == (found.cells, 11, 11)
    assert later.source != found.source


def test_a_screen_that_is_not_there_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    screen = {"kind": "download", "url": "https://example.org/a.h5ad"}
    with pytest.raises(InputError, match=r"(?s)before it is downloaded.*downloads/a\.h5ad"):
        dimensions(load_config({"screen": screen}, "x"))


# --- what jobs do ---------------------------------------------------------------------------------


def kinds(load: Workload, own: Job) -> dict[str, float]:
    """Numbers of steps of a job by their kind."""
    work = load.work(own)
    assert work is not None
    found: dict[str, float] = {}
    for number, step in work.steps:
        kind = json.loads(step)["kind"]
        found[kind] = found.get(kind, 0) + number
    return found


def test_steps_are_those_of_the_configuration(load: Workload) -> None:
    fit = {"fold": "2", "variant": "default"}
    assert kinds(load, job("lcd_fit_prior", **fit)) == {"prior": 3_000}
    assert kinds(load, job("lcd_fit_drift", **fit)) == {"drift": 2_000}
    assert kinds(load, job("lcd_predict", **fit)) == {"sampling": 6}  # 18 doubles in 3 folds
    assert kinds(load, job("lcd_check_fits", **fit)) == {"sampling": 73, "scores": 4 * 73}
    assert kinds(load, job("lcd_check_fits", fold="all", variant="effects"))["sampling"] == 79
    of_one = {"scores": 6 * load.config.evaluation.splits}
    of_all = {"scores": of_one["scores"] * len(load.plan.benchmark)}
    assert kinds(load, job("compute_metrics", fold="2")) == of_all
    point = job("compute_tuning_metrics", method="salt", variant="default")
    assert kinds(load, point).keys() == {"scores"}
    linear = job("fit_linear_drift", structure="power_law", genes="100", percent="30", system="1")
    work = load.work(linear)
    assert work is not None
    ((number, step),) = work.steps
    assert (number, json.loads(step)["targets"]) == (3000, 30)


def test_predicted_combinations_are_counted() -> None:
    """All pairs of the singles in parts, the singles and the control, and how pairs interact."""
    config = load_config(
        {
            "screen": {"kind": "simulated"},
            "simulation": {"targets": 98, "genes": 200, "doubles": 10},
            "analyses": ["predict"],
            "predictions": {
                "all_pairs": True, "parts": 4, "states": 64, "sampler": "fast",
                "interaction_genes": 100, "cells_of": ["A+B"], "cells": 30,
            },
        },
        "x",
    )  # fmt: skip
    load = Workload(config, Plan(config, "x"), dimensions(config))
    singles = sum(len(targets_of(name)) == 1 for name in load.data.cells if name != CONTROL)
    pairs = -(-(singles * (singles - 1) // 2 + 1) // 4)
    fit = {"variant": "default"}

    def of(rule: str, **more: str) -> Work:
        work = load.work(job(rule, **fit, **more))
        assert work is not None
        return work

    ((number, step),) = of("predict_combinations", part="2").steps
    assert number == pytest.approx(pairs * 64 / 4096)
    assert json.loads(step)["sampler"]["steps_per_level"] == PRESETS["fast"].steps_per_level
    assert json.loads(step)["cells"] == 4096
    ((number, _),) = of("predict_combinations", part="references").steps
    assert number == pytest.approx((singles + 1) * 64 / 4096)
    assert of("measure_predictions", part="2").seconds == pytest.approx(1 + pairs * 0.07 / 4)
    ((number, step),) = of("sample_combinations").steps
    assert (number, json.loads(step)["cells"]) == (1, 30)
    assert stage_of(job("predict_combinations", part="1", **fit)) == "predicted combinations"


def test_equal_steps_are_measured_once(load: Workload) -> None:
    one, two, other = (
        load.work(job("lcd_fit_drift", fold=fold, variant=variant)).steps[0][1]  # type: ignore[union-attr]
        for fold, variant in (("1", "default"), ("2", "default"), ("all", "effects"))
    )
    assert one == two != other


def test_seconds_are_the_start_and_the_steps(load: Workload) -> None:
    jobs = [
        job("lcd_fit_prior", fold="1", variant="default"), job("draw_metrics"),
        job("cpa_fit", fold="1", variant="default"), job("all"),
    ]  # fmt: skip
    (step,) = load.work(jobs[0]).steps  # type: ignore[union-attr]
    found, unknown = estimated(jobs, load, {step[1]: 0.01}, 3.0)
    assert [each.seconds for each in found] == pytest.approx([3 + 3_000 * 0.01, 3 + 4.0])
    assert [each.rough for each in found] == [False, True]
    assert [each.rule for each in unknown] == ["cpa_fit", "all"]


def test_every_rule_belongs_to_a_stage(load: Workload) -> None:
    from tests.workflow.test_rules import rules_of

    fit = {"fold": "1", "variant": "default", "part": "1", "genes": "100", "percent": "30"}
    for rule in rules_of("everything"):
        own = job(rule["name"], **fit)
        assert stage_of(own) in STAGES
        load.work(own)  # nothing is missing


def test_jobs_that_wait_for_each_other_are_a_bound() -> None:
    def of(rule: str, seconds: float) -> Estimate:
        return Estimate(job(rule), seconds, False)

    own = [
        of("import_screen", 5), of("select_genes", 2), of("select_genes", 3),
        of("lcd_fit_prior", 100), of("lcd_fit_prior", 90), of("lcd_fit_drift", 50),
        of("lcd_check_fits", 7), of("lcd_predict", 1), of("compute_metrics", 2),
    ]  # fmt: skip
    assert longest_chain(own, 0) == 5 + 3 + 100 + 50 + 7
    own.append(of("estimate_effects", 10))
    assert longest_chain(own, 2) == 5 + 3 + 150 + 10 + 150 + 10
    assert longest_chain([of("fit_linear_drift", 9)], 0) == 9


def test_what_is_said(default: Config) -> None:
    cells = {"control": 10, "A": 5, "B": 5, "A+B": 5}
    data = Dimensions(cells, 20, 10, "a test")
    own = [
        Estimate(job("lcd_fit_prior", fold="1", variant="default"), 3600.0, False),
        Estimate(job("lcd_fit_prior", fold="2", variant="default"), 3600.0, False),
        Estimate(job("draw_metrics"), 30.0, True),
    ]
    about = {"device": "CPU", "side_by_side": 2, "start": 2.0, "probe": 9.0, "busy": 1.1}
    text = told(default, data, own, [job("cpa_fit")], about, 2)
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    assert lines["priors"] == ["priors", "2", "60", "min", "2.0", "h", "measured"]
    assert lines["figures and tables"][-1] == "rough"
    assert "In all about 60 min: 2.0 h of work, 2 at a time" in text
    assert "25 cells, 10 of 20 genes" in text
    assert "Not counted: cpa_fit." in text
    assert "busy" not in text
    assert "2.5 times as long" in told(default, data, own, [], about | {"busy": 2.5}, 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (7200, "2.0 h"), (86400 * 3, "3.0 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- the probe ------------------------------------------------------------------------------------


def test_every_kind_of_step_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "BUDGET", 0.0)
    drift = {
        "hidden": 4, "embedding_dimensions": 2, "time_dimensions": 2, "noise_levels": 3,
        "samples": 10, "steps": 2, "batch_states": 8,
    }  # fmt: skip
    prior = {
        "hidden": 4, "output_hidden": 4, "steps": 2, "warmup_steps": 0, "batch_cells": 4,
        "monte_carlo_states": 4,
    }  # fmt: skip
    common: dict[str, Any] = {"genes": 6, "targets": 2, "conditions": 4, "cells": 5}
    tasks = {
        "prior": common | {"settings": prior},
        "drift": common | {"settings": drift},
        "sampling": common | {"drift": drift, "sampler": {"steps_per_level": 2}},
        "scores": common | {
            "predicted": 5, "observed": 4, "metrics": ["mmd_all", "mmd_pca", "weighted_mse"],
            "top_genes": 20, "components": 20,
        },
        "effects": common | {
            "perturbations": 3, "drift": drift, "estimator": "adaptive_rows", "draws": 4,
        },
        "tests": common | {"control": 8},
    }  # fmt: skip
    assert set(tasks) == set(probe.KINDS)
    for kind, task in tasks.items():
        seconds = probe.KINDS[kind](task, torch.device("cpu"))
        assert 0 < seconds < 60, kind


def test_the_first_run_does_not_count_unless_it_is_very_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([0.0, 9.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(probe, "clock_for", lambda device: lambda: next(times))
    monkeypatch.setattr(probe, "BUDGET", 9.5)
    assert probe.timed(lambda: None, torch.device("cpu")) == 1.0
    monkeypatch.setattr(probe, "BUDGET", 0.1)
    assert probe.timed(lambda: None, torch.device("cpu")) == 2.0


def test_a_device_that_is_not_there_is_one_message() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="cuda"):
        probe.measured([], threads=1, device="cuda", side_by_side=1)
