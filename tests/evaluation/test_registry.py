"""The list of metrics, its functions, and who may read it."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation import metrics
from evaluation.comparison import Comparison, Panel
from evaluation.registry import METRICS, Metric, check_metric_names, metrics_of
from lcd_core.errors import InputError

ROOT = Path(__file__).parents[2]
ARGUMENT = {"perturbation": Comparison, "panel": Panel}


def test_registry_is_complete():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.direction in ("lower", "higher")
        assert all((metric.title, metric.unit, metric.reference))


def test_every_metric_has_a_function_of_its_scope_and_every_function_is_a_metric():
    own = {
        name: list(inspect.signature(function, eval_str=True).parameters.values())
        for name, function in inspect.getmembers(metrics, inspect.isfunction)
        if function.__module__ == metrics.__name__ and not name.startswith("_")
    }
    kinds = {
        name: arguments[0].annotation for name, arguments in own.items() if len(arguments) == 1
    }
    kinds.pop("function_of")
    assert kinds == {name: ARGUMENT[metric.scope] for name, metric in METRICS.items()}


@pytest.mark.parametrize("scope", ["perturbation", "panel"])
def test_metrics_are_chosen_by_scope_and_by_what_they_need(scope):
    names = [name for name in reversed(METRICS) if METRICS[name].scope == scope]
    assert metrics_of(scope, list(reversed(METRICS))) == names
    kept = metrics_of(scope, names, cells=False)
    assert kept == [name for name in names if not METRICS[name].needs_cells]
    assert "mmd_all" not in kept


def test_unknown_metrics_are_named():
    for check in (check_metric_names, lambda names: metrics_of("panel", names)):
        with pytest.raises(InputError, match="mmd_typo"):
            check(["mmd_all", "mmd_typo"])
        with pytest.raises(InputError, match="no metric"):
            check([])


def test_a_metric_over_the_panel_takes_an_entry_and_its_function(monkeypatch):
    entry = Metric("change_l2", "Size of change", "lower", "none", "this test", scope="panel")
    monkeypatch.setitem(METRICS, entry.name, entry)
    monkeypatch.setattr(
        metrics,
        entry.name,
        lambda panel: np.linalg.norm(panel.predicted - panel.observed, axis=1),
        raising=False,
    )
    panel = Panel(["A", "B"], np.eye(2), ["B", "A"], np.zeros((2, 2)), np.zeros(2), np.zeros(2))
    values = metrics.score_panel(panel, metrics_of("panel", ["mmd_all", "change_l2"]))
    assert {name: list(own) for name, own in values.items()} == {"change_l2": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("module", "libraries"),
    [
        ("pipeline.config", {"numpy", "scipy", "sklearn", "torch"}),
        ("benchmark.compute_metrics", {"scipy.stats", "sklearn", "torch"}),
    ],
)
def test_what_every_job_imports_does_without_slow_libraries(module, libraries):
    code = f"import sys, {module}; sys.exit(', '.join({libraries!r} & set(sys.modules)) or 0)"
    paths = os.pathsep.join(str(ROOT / base) for base in ("", "workflow/scripts", "workflow"))
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
