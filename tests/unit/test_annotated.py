"""Screens as AnnData, effects with names, and the page that shows both."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lcd_core.annotated import counts_by_condition, fit_anndata
from lcd_core.errors import InputError
from lcd_core.evidence import DirectEffects
from lcd_core.fit import fit
from lcd_core.gene_effects import GeneEffects, effects_from_counts, effects_from_model
from pipeline.predictions import read_prediction
from pipeline.screen import counts_by_condition as of_the_workflow
from tests.unit.test_fit import GENES, SMALL, assert_equal

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


@pytest.fixture
def screen() -> ad.AnnData:
    rng = np.random.default_rng(0)
    labels = np.repeat(["ctrl", "B+ctrl", "B+A", "ctrl+ctrl"], 8)
    obs = pd.DataFrame({"condition": labels}, index=[f"c{i}" for i in range(len(labels))])
    return ad.AnnData(rng.poisson(4.0, (len(labels), 4)), obs=obs, var=pd.DataFrame(index=GENES))


def test_labels_become_conditions(screen: ad.AnnData) -> None:
    counts = counts_by_condition(screen, "condition", control="ctrl")
    assert list(counts) == ["control", "A+B", "B"]
    np.testing.assert_array_equal(counts["A+B"], screen.X[16:24])
    np.testing.assert_array_equal(counts["control"], screen.X[[*range(8), *range(24, 32)]])


def test_what_is_read_may_be_sparse_a_layer_or_no_anndata(screen: ad.AnnData) -> None:
    expected = counts_by_condition(screen, "condition", control="ctrl")
    plain = SimpleNamespace(
        X=np.log1p(screen.X), obs={"condition": screen.obs["condition"].to_numpy()},
        var_names=GENES, layers={"counts": sparse.csc_matrix(screen.X)},
    )  # fmt: skip
    found = counts_by_condition(plain, "condition", control=["ctrl"], layer="counts")
    assert list(found) == list(expected)
    for name, own in expected.items():
        np.testing.assert_array_equal(found[name].toarray(), own)


def test_a_screen_of_the_workflow_is_read_as_the_workflow_does(screen: ad.AnnData) -> None:
    screen.obs["perturbation"] = pd.Categorical(np.repeat(["control", "B", "A+B", "C"], 8))
    screen.X = sparse.csr_matrix(screen.X)
    ours, theirs = counts_by_condition(screen, "perturbation"), of_the_workflow(screen)
    assert list(ours) == list(theirs)
    assert all((ours[name].toarray() == theirs[name]).all() for name in theirs)


def test_whole_labels(screen: ad.AnnData) -> None:
    screen.obs["condition"] = [label.replace("+", "/") for label in screen.obs["condition"]]
    counts = counts_by_condition(screen, "condition", control="ctrl", separator=None)
    assert list(counts) == ["control", "B/A", "B/ctrl", "ctrl/ctrl"]


def spoiled(screen: ad.AnnData, labels: object) -> ad.AnnData:
    screen.obs["condition"] = labels
    return screen


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"perturbation": "guide"}, "no column 'guide'"),
        ({"control": "NT"}, "no cell has the control label 'NT'"),
        ({"layer": "raw"}, "no layer 'raw'"),
        ({"separator": None}, "gives no set of targets"),
    ],
)
def test_mistakes_are_named(screen: ad.AnnData, change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        counts_by_condition(screen, **{"perturbation": "condition", "control": "ctrl"} | change)


@pytest.mark.parametrize(
    ("label", "words"), [("A+A", "'A\\+A'"), ("A+", "'A\\+'"), (None, "have no label")]
)
def test_labels_that_cannot_be_are_named(screen: ad.AnnData, label: object, words: str) -> None:
    labels = [label if i == 9 else own for i, own in enumerate(screen.obs["condition"])]
    with pytest.raises(InputError, match=words):
        counts_by_condition(spoiled(screen, labels), "condition", control="ctrl")


@pytest.fixture
def model(screen: ad.AnnData):
    return fit_anndata(screen, "condition", control="ctrl", settings=SMALL, seed=3)


def test_the_model_is_that_of_the_counts(screen: ad.AnnData, model) -> None:
    counts = counts_by_condition(screen, "condition", control="ctrl")
    assert_equal(model, fit(counts, GENES, settings=SMALL, seed=3))


def test_cells_come_back_as_a_prediction(model, tmp_path: Path) -> None:
    cells = model.sample_anndata(["B+A", [], "B"], 5, seed=1)
    assert cells.obs["perturbation"].value_counts().to_dict() == {"A+B": 5, "control": 5, "B": 5}
    assert list(cells.var_names) == GENES
    assert (cells.X.dtype, cells.obs_names.is_unique) == (np.int32, True)
    alone = model.sample_anndata([["A", "B"]], 5, seed=1)
    assert (alone.X != cells[cells.obs["perturbation"] == "A+B"].X).nnz == 0
    assert (model.sample_anndata([["A", "B"]], 5, seed=2).X != alone.X).nnz > 0
    cells.write_h5ad(tmp_path / "mine.h5ad")
    read = read_prediction(str(tmp_path / "mine.h5ad"), cells.var_names, ["A+B", "B"], None)
    assert read.predicted(["A+B", "B"]) == ["A+B", "B"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("A+B", "are a list"),
        (["A+B", ["B", "A"]], "asked for twice"),
        (["Z"], "unknown"),
        ([], "no"),
    ],
)
def test_perturbations_that_cannot_be_sampled(model, asked: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model.sample_anndata(asked, 2, seed=1)


def test_strongest_effects_are_between_different_genes() -> None:
    effects = np.diag([9.0, 9.0, 9.0])
    effects[2, 0], effects[1, 2] = -3.0, 2.0
    found = GeneEffects(list("abc"), DirectEffects(effects, np.ones((3, 3))), [])
    assert [edge[:3] for edge in found.strongest(2)] == [("a", "c", -3.0), ("c", "b", 2.0)]
    assert len(found.strongest(99)) == 6
    assert np.diag(effects).tolist() == [9.0, 9.0, 9.0]
    table = found.to_anndata()
    assert table["a", "c"].X.item() == -3.0


def test_effects_of_counts_need_perturbed_genes(screen: ad.AnnData) -> None:
    counts = counts_by_condition(screen, "condition", control="ctrl")
    with pytest.raises(InputError, match="no perturbation hits genes"):
        effects_from_counts(counts, GENES, seed=1)
    found = effects_from_counts(counts, GENES, hits={"B": ["x"], "A+B": ["y"]}, seed=1)
    assert found.perturbations == ["A+B", "B"]
    assert np.isfinite(found.found.effects).all()
    with pytest.raises(InputError, match="needs more than it was given"):
        effects_from_counts(counts, GENES, hits={"B": ["x"]}, estimator="clipr", seed=1)


def test_effects_of_a_model_are_those_of_its_linearisation(model) -> None:
    from lcd_core.linearisation import linearise_model
    from lcd_core.settings import LinearisationSettings

    linear = linearise_model(model, ["B"], LinearisationSettings())
    found = effects_from_model(model, ["B"])
    np.testing.assert_allclose(found.found.effects, linear.estimate.effects, rtol=1e-10)
    assert found.perturbations == ["B"]
    limits, ridge = linear.responses.limits[:, 1:], linear.estimate.ridge
    kept = limits @ np.linalg.pinv(limits.T @ limits + ridge * np.eye(1)) @ limits.T
    np.testing.assert_allclose(found.found.resolution[0], np.diag(kept), rtol=1e-6, atol=1e-9)


def test_the_page_runs_and_finds_what_it_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
        if number == 2:
            found = {edge[:2] for edge in names["effects"].strongest(2)}
            assert found == {("G0", "G1"), ("G2", "G3")}
    assert names["both"].shape == (500, 3)
    lines = [line for line in BLOCKS[1].splitlines() if line and not line.startswith("print")]
    assert len(lines) <= 20


WITHOUT = """
import sys
for name in ("anndata", "pandas", "scanpy", "snakemake", "pydantic", "matplotlib", "sklearn"):
    sys.modules[name] = None
import numpy as np
rng = np.random.default_rng(1)
{settings}
{block}
from lcd_core.errors import InputError
try:
    model.sample_anndata(["A"], 2, seed=1)
except InputError as error:
    assert "pip install anndata" in str(error)
else:
    raise AssertionError
"""


def test_the_part_without_anndata_needs_none(tmp_path: Path) -> None:
    settings = (
        "from lcd_core.fit import LCDSettings\n"
        "from lcd_core.settings import DriftSettings, PriorSettings\n"
        "small = LCDSettings(PriorSettings(steps=3, warmup_steps=1, monte_carlo_states=4),\n"
        "                    drift=DriftSettings(hidden=4, embedding_dimensions=4, samples=8, "
        "steps=3, batch_states=8))"
    )
    text = WITHOUT.format(settings=settings, block=BLOCKS[-1])
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_core_imports_nothing_else() -> None:
    allowed = {"torch", "numpy", "scipy", "safetensors", "tqdm", "lcd_core"}
    found = set()
    for path in (ROOT / "lcd_core").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
    assert found - set(sys.stdlib_module_names) <= allowed
