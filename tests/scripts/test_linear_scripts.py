"""Linear systems from drawing to figures, on systems of a dozen genes."""

import logging
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from lcd_core.drift import noise_levels
from lcd_core.errors import InputError
from lcd_core.files import load_tensors, save_tensors
from lcd_core.linearisation import linearise, nearest_level
from lcd_core.model import LCD
from lcd_core.settings import DriftSettings, LinearisationSettings
from lcd_core.units import LinearUnits
from linear_systems import (
    aggregate_linear_systems,
    draw_linear_maps,
    draw_linear_scores,
    fit_linear_drift,
    make_linear_system,
    score_linear_system,
    write_linear_html,
)
from pipeline.config.config import Config
from pipeline.linear_systems import EFFECTS, IDENTITY, SYSTEM, draw_samples, read_system
from pipeline.looks import ESTIMATORS
from pipeline.tables import read_tsv
from simulation.linear_systems import LinearDrift, random_linear_system

CLIPR = Config().clipr.model_dump(mode="json")
D = 12
KS = [1, 3]
THRESHOLD = 0.5
FIGURES = ("auroc", "top_effects", "effect_maps", "shift_maps")


def make(folder: Path, **changes) -> str:
    """Draw a system into a folder; the path of its file."""
    arguments = {
        "structure": "erdos_renyi",
        "genes": D,
        "percent": 100,
        "number": 1,
        "links_per_gene": 3,
        "strength": 2.0,
        "flip_probability": 0.1,
        "sigma": 2**0.5,
        "samples_per_condition": 100,
        "seed": 1,
        "sample_seed": 2,
    }
    path = folder / "system.safetensors"
    make_linear_system.main(system=str(path), **{**arguments, **changes})
    return str(path)


def fit(folder: Path, steps: int = 20, seed: int = 6, scaling: str = "standard_deviation") -> None:
    """Train; after a few steps the limits of some seeds lie beyond all bounds, not of this one."""
    fit_linear_drift.main(
        system=str(folder / "system.safetensors"),
        model=str(folder / "model.safetensors"),
        training_log=str(folder / "log.tsv"),
        settings={
            "hidden": 48,
            "embedding_dimensions": 16,
            "steps": steps,
            "batch_states": 256,
            "learning_rate": 3e-3,
            "log_every": 10,
        },
        scaling=scaling,
        seed=seed,
        device="cpu",
        checkpoint=str(folder / "checkpoint"),
        checkpoint_interval=300.0,
        code="",
    )


def evaluate(folder: Path, **changes) -> None:
    score_linear_system.main(
        system=str(folder / "system.safetensors"),
        model=str(folder / "model.safetensors"),
        scores=str(folder / "scores.tsv"),
        responses=str(folder / "responses.tsv"),
        effects=str(folder / "effects.safetensors"),
        clipr={**CLIPR, **changes},
        threshold=THRESHOLD,
        top_effects_per_gene=KS,
        device="cpu",
    )


def aggregate(root: Path, folders: list[Path]) -> None:
    aggregate_linear_systems.main(
        score_tables=[str(own / "scores.tsv") for own in folders],
        response_tables=[str(own / "responses.tsv") for own in folders],
        training_logs=[str(own / "log.tsv") for own in folders],
        effects=[str(own / "effects.safetensors") for own in folders],
        scores=str(root / "scores.tsv"),
        summary=str(root / "summary.tsv"),
        systems=str(root / "systems.tsv"),
    )


def draw(root: Path, folders: list[Path]) -> None:
    scores, summary = (str(root / f"{name}.tsv") for name in ("scores", "summary"))
    paths = {name: str(root / f"{name}.svg") for name in FIGURES}
    draw_linear_scores.main(
        scores=scores,
        summary=summary,
        auroc=paths["auroc"],
        top_effects=paths["top_effects"],
        threshold=THRESHOLD,
    )
    draw_linear_maps.main(
        systems=[str(own / "system.safetensors") for own in folders],
        effects=[str(own / "effects.safetensors") for own in folders],
        effect_maps=paths["effect_maps"],
        shift_maps=paths["shift_maps"],
        threshold=THRESHOLD,
    )
    write_linear_html.main(summary=summary, summary_page=str(root / "summary.html"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SimpleNamespace:
    """Two systems of either structure, one of them trained well, with tables and figures."""
    root = tmp_path_factory.mktemp("linear")
    folders = [root / name for name in ("one", "two", "few", "power")]
    make(folders[0])
    make(folders[1], number=2, seed=11, sample_seed=12)
    make(folders[2], percent=50)
    make(folders[3], structure="power_law")
    for folder in folders:
        fit(folder, steps=600 if folder == folders[0] else 20)
        evaluate(folder)
    aggregate(root, folders)
    draw(root, [folders[0], folders[3]])
    return SimpleNamespace(root=root, folders=folders)


class TestSystems:
    def test_fewer_perturbations_are_the_first_of_the_same_system(self, run) -> None:
        whole, few = (read_system(run.folders[i] / "system.safetensors") for i in (0, 2))
        np.testing.assert_array_equal(whole[0].effects, few[0].effects)
        np.testing.assert_array_equal(whole[0].targets[: D // 2], few[0].targets)
        samples = draw_samples(*whole)
        np.testing.assert_array_equal(samples[: D // 2 + 1], draw_samples(*few))
        assert samples.shape == (D + 1, 100, D)
        assert samples.dtype == np.float32

    def test_samples_have_the_mean_of_the_system(self, run) -> None:
        system, metadata = read_system(run.folders[0] / "system.safetensors")
        samples = draw_samples(system, metadata).astype(float)
        covariance = scipy.linalg.solve_continuous_lyapunov(system.effects, -2 * np.eye(D))
        shift = np.zeros(D)
        shift[system.targets[3]] = system.shifts[3]
        mean = -np.linalg.solve(system.effects, system.bias + shift)
        z = (samples[4].mean(axis=0) - mean) / np.sqrt(np.diag(covariance) / 100)
        assert np.abs(z).max() < 4.5

    def test_an_unstable_system_is_refused_with_its_eigenvalue(self, run, tmp_path) -> None:
        folder = run.folders[0]
        path = tmp_path / "system.safetensors"
        tensors, metadata = load_tensors(folder / "system.safetensors", SYSTEM)
        tensors["effects"] += 2.5 * torch.eye(D)  # from -0.5 to 2
        save_tensors(path, SYSTEM, tensors, metadata)
        with pytest.raises(InputError, match=r"(?s)unstable.*eigenvalue 2[+-]"):
            read_system(path)

    def test_no_perturbed_gene_is_refused(self, tmp_path) -> None:
        with pytest.raises(InputError, match="between 1 and 12 genes can be perturbed"):
            make(tmp_path, percent=4)


class TestFit:
    def test_limits_approach_the_true_means(self, run) -> None:
        """The network, its training and the change of units together."""
        system, _ = read_system(run.folders[0] / "system.safetensors")
        tensors, _ = load_tensors(run.folders[0] / "effects.safetensors", EFFECTS)
        limits = tensors["limits"].numpy() + tensors["origin"].numpy()[:, None]
        assert np.corrcoef(limits.ravel(), system.means[1:].T.ravel())[0, 1] > 0.97

    def test_states_are_whitened_on_request(self, tmp_path) -> None:
        make(tmp_path)
        fit(tmp_path, steps=2, scaling="covariance")
        samples = draw_samples(*read_system(tmp_path / "system.safetensors")).astype(float)
        scale = LCD.load(tmp_path / "model.safetensors").transform.scale.double().numpy()
        np.testing.assert_allclose(scale @ scale, np.cov(samples.reshape(-1, D).T), rtol=1e-3)
        evaluate(tmp_path)
        assert (
            load_tensors(tmp_path / "effects.safetensors", EFFECTS)[0]["effects"].isfinite().all()
        )

    def test_states_are_standardised_by_the_control(self, run) -> None:
        folder = run.folders[0]
        samples = draw_samples(*read_system(folder / "system.safetensors")).astype(float)
        transform = LCD.load(folder / "model.safetensors").transform
        np.testing.assert_allclose(transform.mean, samples[0].mean(axis=0), rtol=1e-4, atol=1e-5)
        scale = samples.reshape(-1, D).std(axis=0, ddof=1)
        np.testing.assert_allclose(transform.scale, scale, rtol=1e-4)

    def test_the_seed_decides_every_byte(self, tmp_path) -> None:
        weights = []
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            make(tmp_path / name)
            fit(tmp_path / name, steps=3, seed=seed)
            weights.append((tmp_path / name / "model.safetensors").read_bytes())
        assert weights[0] == weights[1] != weights[2]


class TestScores:
    def test_effects_solve_the_normal_equations(self, run) -> None:
        tensors, metadata = load_tensors(run.folders[2] / "effects.safetensors", EFFECTS)
        v, limits = tensors["initial"].numpy(), tensors["limits"].numpy()
        assert limits.shape == (D, D // 2)
        assert metadata["ridge"] == pytest.approx(1 / (10 * D))
        gram = limits @ limits.T + np.eye(D) / (10 * D)
        expected = -np.linalg.solve(gram, limits @ v.T).T
        a = tensors["effects"].numpy()
        np.testing.assert_allclose(a, expected, rtol=1e-7, atol=1e-9)
        control = tensors["control_limit"].numpy()
        origin = tensors["origin"].numpy()
        np.testing.assert_allclose(tensors["bias"], -a @ (origin + control), rtol=1e-6)
        np.testing.assert_allclose(tensors["shifts"], a @ (control[:, None] - limits), atol=1e-9)

    def test_auroc_is_that_of_the_effects_in_the_file(self, run) -> None:
        folder = run.folders[0]
        system, _ = read_system(folder / "system.safetensors")
        other = ~np.eye(D, dtype=bool)
        truth = np.sign(system.effects[other])
        estimate = load_tensors(folder / "effects.safetensors", EFFECTS)[0]["effects"].numpy()[
            other
        ]
        groups = {label: estimate[truth == label] for label in (-1, 0, 1)}
        areas = [
            mannwhitneyu(groups[high], groups[low]).statistic
            / (len(groups[high]) * len(groups[low]))
            for high, low in ((1, -1), (1, 0), (0, -1))
        ]
        scores = read_tsv(folder / "scores.tsv")
        own = scores.query("estimator == 'lcd_clipr' and metric == 'auroc'")["value"]
        assert own.item() == pytest.approx(np.mean(areas), rel=1e-5)

    def test_every_row_says_which_system_and_what_was_known(self, run) -> None:
        scores = read_tsv(run.folders[0] / "scores.tsv")
        assert list(scores.columns[: len(IDENTITY)]) == IDENTITY
        assert scores["sigma"].unique() == pytest.approx([2**0.5], rel=1e-5)
        knows = scores.drop_duplicates("estimator").set_index("estimator")
        assert set(knows.index[knows["knows_targets"]]) == {
            "adaptive_rows",
            "averaged_current",
            "differential_expression",
            "inspre",
            "linear_cyclic",
            "oriented_differential_expression",
            "probability_current",
            "target_aware_rows",
        }
        assert set(knows.index[knows["knows_truth"]]) == {"true_precision", "clipr_exact_drift"}
        at_k = scores.loc[scores["k"].notna()]
        assert set(at_k["k"]) == {D * each for each in KS}
        assert set(at_k["metric"]) == {"f1@k", "f1_among@k", "pearson@k", "precision@k"}
        exact = scores.query("estimator == 'clipr_exact_drift' and metric == 'auroc'")["value"]
        assert exact.item() == pytest.approx(1.0, abs=1e-3)

    def test_a_flow_that_stops_short_is_flagged_and_left_out_on_request_only(
        self, run, tmp_path, caplog
    ) -> None:
        make(tmp_path)
        fit(tmp_path)
        short = {"solver": "flow", "steps_per_level": 1, "tolerance": 1e-6}
        with caplog.at_level(logging.WARNING):
            evaluate(tmp_path, **short)
        responses = read_tsv(tmp_path / "responses.tsv")
        lost = responses.loc[~responses["converged"], "perturbation"]
        assert len(lost) == D + 1
        assert responses.loc[responses["perturbation"] != "control", "used"].all()
        assert "control, gene_" in caplog.text
        assert (responses["evaluations"] == 2 + nearest_levels_left()).all()
        with pytest.raises(InputError, match=r"(?s)none of them converged.*gene_"):
            evaluate(tmp_path, **short, exclude_unconverged=True)

    @pytest.mark.parametrize("ridge", [-1e-3, float("nan")])
    def test_a_ridge_that_cannot_be_is_refused(self, run, ridge) -> None:
        with pytest.raises(InputError, match="ridge"):
            evaluate(run.folders[3], ridge=ridge)


def nearest_levels_left() -> int:
    """Levels from the largest down to the one nearest to the default."""
    alphas = noise_levels(DriftSettings()).numpy()
    return int((alphas >= alphas[np.abs(np.log(alphas / CLIPR["level_alpha"])).argmin()]).sum())


class Runaway(LinearDrift):
    """A linear drift that under its last target pushes on for ever."""

    def forward(self, x, membership, level):
        f = super().forward(x, membership, level)
        return torch.where(membership[:, -1:] > 0, torch.ones_like(f), f)


class TestLinearise:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 10**6), st.sampled_from(["control_mean", "zero"]))
    def test_a_linear_drift_gives_its_own_effects_bias_and_shifts(self, seed, origin) -> None:
        system = random_linear_system(6, 6, "erdos_renyi", seed, links_per_gene=2)
        exact = LinearisationSettings(ridge=0.0, tolerance=1e-11, origin=origin)
        # a drift of original units, with a mean that is no more than a place to read it at
        units = LinearUnits.original(6).seen_from(-np.arange(6.0))
        drift = LinearDrift(
            system.effects, system.bias + system.effects @ np.arange(6.0), system.shift_matrix.T
        )
        found = linearise(drift, torch.eye(6), units, list("abcdef"), exact)
        scale = np.abs(system.effects).max()
        np.testing.assert_allclose(found.estimate.effects, system.effects, atol=1e-6 * scale)
        np.testing.assert_allclose(found.bias, system.bias, atol=1e-5)
        np.testing.assert_allclose(found.shifts, system.shift_matrix, atol=1e-5)

    def test_a_drift_without_a_limit_is_named_and_left_out_on_request(self, caplog) -> None:
        truth = np.array([[-2.0, 1.0, 0.0], [0.0, -1.0, 0.5], [0.3, 0.0, -1.5]])
        drift = Runaway(truth, np.ones(3), np.array([[5.0, 0, 0], [0, 7.0, 0], [0, 0, 9.0]]))
        units, names = LinearUnits.original(3), ["a", "b", "c"]
        with caplog.at_level(logging.WARNING):
            kept = linearise(drift, torch.eye(3), units, names, LinearisationSettings())
        assert "1 of 4 conditions" in caplog.text
        assert caplog.text.rstrip().endswith(": c")
        table = pd.DataFrame(kept.table()).set_index("perturbation")
        assert table["converged"].to_dict() == {"control": True, "a": True, "b": True, "c": False}
        assert table["used"].to_dict() == {"control": False, "a": True, "b": True, "c": True}

        wanted = LinearisationSettings(exclude_unconverged=True)
        left = linearise(drift, torch.eye(3), units, names, wanted)
        assert left.table()["used"].tolist() == [False, True, True, False]
        alone = linearise(drift, torch.eye(3)[:2], units, names[:2], LinearisationSettings())
        np.testing.assert_allclose(left.estimate.effects, alone.estimate.effects, rtol=1e-12)
        assert left.shifts.shape == (3, 2)

    def test_limits_that_are_not_finite_are_refused_by_name(self) -> None:
        class Broken(LinearDrift):
            def forward(self, x, membership, level):
                f = super().forward(x, membership, level)
                return torch.where(membership[:, 1:2] > 0, f * torch.nan, f)

        drift = Broken(-np.eye(2), np.ones(2), np.eye(2))
        flow = LinearisationSettings(solver="flow")
        with pytest.raises(InputError, match=r"(?s)not finite.*bad.*exclude_unconverged"):
            linearise(drift, torch.eye(2), LinearUnits.original(2), ["good", "bad"], flow)

    def test_singular_limits_without_a_ridge_are_warned_about(self) -> None:
        drift = LinearDrift(-np.eye(3), np.zeros(3), np.array([[1.0, 0, 0], [2.0, 0, 0]]))
        exact = LinearisationSettings(ridge=0.0, tolerance=1e-13)
        with pytest.warns(RuntimeWarning, match="rank 1"):
            found = linearise(drift, torch.eye(2), LinearUnits.original(3), ["a", "b"], exact)
        assert not found.estimate.full_rank

    def test_no_perturbation_is_refused(self) -> None:
        drift = LinearDrift(-np.eye(2), np.zeros(2), np.zeros((1, 2)))
        with pytest.raises(InputError, match="at least one perturbation"):
            linearise(
                drift, torch.zeros(0, 1), LinearUnits.original(2), [], LinearisationSettings()
            )

    def test_the_nearest_level_is_nearest_by_ratio(self) -> None:
        assert nearest_level([0.01, 0.1, 1.0], 0.04) == 1  # 4 against 2.5 times
        assert nearest_level([0.01, 0.1, 1.0], 0.03) == 0
        assert nearest_level([0.01, 0.1, 1.0], 50) == 2


class TestTables:
    def test_summary_is_over_the_systems_of_a_setting(self, run) -> None:
        scores, summary = (read_tsv(run.root / f"{name}.tsv") for name in ("scores", "summary"))
        assert len(scores) == sum(len(read_tsv(f / "scores.tsv")) for f in run.folders)
        where = "structure == 'erdos_renyi' and percent == 100 and estimator == 'lcd_clipr'"
        for metric, k in (("auroc", None), ("pearson@k", 36)):
            values, row = (
                table[table["k"].isna() if k is None else table["k"] == k].query(
                    f"{where} and metric == {metric!r}"
                )
                for table in (scores, summary)
            )
            assert len(values) == 2
            low, middle, high = np.quantile(values["value"], [0.1, 0.5, 0.9])
            assert row[["p10", "median", "p90"]].to_numpy()[0] == pytest.approx(
                [low, middle, high], rel=1e-5
            )
            assert row["n"].item() == 2

    def test_undefined_values_are_not_counted(self) -> None:
        rows = [
            dict(zip(IDENTITY, ("erdos_renyi", 5, 100, 5, system, 1.0), strict=True))
            | {"estimator": "e", "knows_targets": False, "knows_truth": False}
            | {"metric": "auroc", "k": pd.NA, "value": value}
            for system, value in ((1, np.nan), (2, 0.5), (3, 0.7))
        ]
        summary = aggregate_linear_systems.summarise(pd.DataFrame(rows).astype({"k": "Int64"}))
        assert summary["n"].tolist() == [2]
        assert summary["median"].tolist() == pytest.approx([0.6])

    def test_systems_have_a_row_each(self, run) -> None:
        systems = read_tsv(run.root / "systems.tsv")
        assert len(systems) == 4
        assert systems["n_used"].tolist() == [D, D, D // 2, D]
        assert (systems["training_steps"] == [600, 20, 20, 20]).all()
        for row, folder in zip(systems.itertuples(), run.folders, strict=True):
            responses = read_tsv(folder / "responses.tsv")
            lost = responses.loc[~responses["converged"], "perturbation"].tolist()
            assert row.unconverged == (",".join(lost) or "none")

    def test_one_system_twice_is_refused(self, run, tmp_path) -> None:
        with pytest.raises(InputError, match="of one system"):
            aggregate(tmp_path, [run.folders[0], run.folders[0]])


class TestFigures:
    def test_every_figure_is_an_svg_with_its_words(self, run) -> None:
        words = {
            "auroc": ["Power law, 12 genes", "Perturbed genes", "CLIPR (Eqs. 5-8)", "σ = 1.414"],
            "top_effects": ["CLIPR (Eqs. 5-8)", "k / genes", " 1 3 "],
            "effect_maps": ["Cause", "Gene affected", "True"],
            "shift_maps": ["Perturbation", "Gene"],
        }
        for name in FIGURES:
            tree = ElementTree.parse(run.root / f"{name}.svg")
            text = " ".join("".join(e.itertext()) for e in tree.iter() if e.tag.endswith("text"))
            assert all(word in text for word in words[name]), name

    def test_maps_show_causes_on_rows_and_targets_on_the_diagonal(self, run) -> None:
        folder = run.folders[2]
        paths = [str(folder / name) for name in ("system.safetensors", "effects.safetensors")]
        shown = draw_linear_maps.read_shown(*paths)
        system, _ = read_system(paths[0])
        figure = draw_linear_maps.draw_effects([shown], THRESHOLD)
        true_map = next(a for a in figure.subfigs[0].axes if a.get_title() == "True").images[0]
        strength = np.abs(np.asarray(true_map.get_array()))
        np.fill_diagonal(strength, 0)
        outgoing = np.abs(system.effects - np.diag(np.diag(system.effects))).sum(axis=0)
        np.testing.assert_allclose(strength.sum(axis=1), np.sort(outgoing)[::-1])
        assert (np.diff(shown.targets) > 0).all()
        assert (np.abs(shown.true_shifts).argmax(axis=0) == shown.targets).all()
        tensors, _ = load_tensors(folder / "effects.safetensors", EFFECTS)
        a, c = tensors["effects"].numpy(), tensors["shifts"].numpy()
        order = np.argsort(-outgoing, kind="stable")
        np.testing.assert_array_equal(shown.effects, a[order][:, order])
        column = int(np.flatnonzero(order[shown.targets[0]] == system.targets)[0])
        np.testing.assert_array_equal(shown.shifts[:, 0], c[order, column])

    def test_the_page_names_every_estimator(self, run) -> None:
        page = (run.root / "summary.html").read_text(encoding="utf-8")
        summary = read_tsv(run.root / "summary.tsv")
        for name in set(summary["estimator"]):
            assert f">{ESTIMATORS[name].label}</td>" in page
        own = summary.query("metric == 'pearson@k' and k == 36 and estimator == 'true_precision'")
        assert all(
            f'<td data-order="{median:.9g}">{median:.3f} (' in page for median in own["median"]
        )

    def test_every_estimator_has_a_look(self, run) -> None:
        scores = read_tsv(run.root / "scores.tsv")
        of_screens = {
            "oriented_differential_expression_z",  # needs a score per gene
            "direct_effects",
            "oriented_z",
            "total_effects",
            "expression_correlation",
            "differential_expression_profiles",
        }
        assert set(scores["estimator"]) == set(ESTIMATORS) - of_screens

    def test_the_metadata_say_how_the_effects_were_found(self, run) -> None:
        _, metadata = load_tensors(run.folders[2] / "effects.safetensors", EFFECTS)
        assert metadata["alpha"] == pytest.approx(0.01 * 1000 ** (14 / 29))  # nearest to 0.3
        assert metadata["full_rank"] is True
        assert metadata["perturbations"] == [
            f"gene_{t}" for t in read_system(run.folders[2] / "system.safetensors")[0].targets
        ]


class TestDocumentation:
    TEXT = (Path(__file__).parents[2] / "docs" / "clipr.md").read_text(encoding="utf-8")

    def test_every_metric_and_estimator_is_described(self, run) -> None:
        scores = read_tsv(run.root / "scores.tsv")
        words = set(scores["metric"]) | set(scores["estimator"])
        assert {word for word in words if f"`{word}`" not in self.TEXT} == set()
