"""From a fitted model to effects: responses, ensembles, and effects of held-out causes."""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from effects import (
    assemble_held_out_effects,
    choose_held_out_causes,
    combine_effects,
    estimate_effects,
    hold_out_causes,
)
from lcd_core.direct_effects import ESTIMATORS
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.estimators import estimate_effects as clipr
from lcd_core.linearisation import linearise_model
from lcd_core.model import LCD
from lcd_core.prior import GeneratorLayout, ImplicitPriors
from lcd_core.settings import DriftSettings, LinearisationSettings, PriorSettings, StateSettings
from lcd_core.states import StateTransform
from pipeline.config.config import Config
from pipeline.effects import module_distances, perturbations_of, ranking, read_effects
from pipeline.evidence import modelled_targets
from pipeline.screen import TARGET_GENES, read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.screens import canonical_screen

CLIPR = Config().clipr.model_dump(mode="json")
GENES = ["A", "B", "C", "D", "E"]
TARGETS = ["A", "C", "drug"]
LABELS = ["control", "A", "C", "drug", "A+C"]


def write_training_cells(path: Path, labels=LABELS, target_genes=None) -> str:
    cells = np.repeat(labels, 4)
    counts = np.random.default_rng(0).poisson(3, (len(cells), len(GENES)))
    file = canonical_screen(path, counts, cells, genes=GENES)
    if target_genes is not None:
        screen = read_screen(file)
        screen.uns[TARGET_GENES] = pd.DataFrame(target_genes, columns=["target", "gene"])
        write_h5ad(screen, file)
    return file


def write_prior(path: Path, labels=LABELS, seed: int = 0) -> str:
    """Generators that are no fit, of every condition."""
    generator = torch.Generator().manual_seed(seed)
    settings = PriorSettings(latent_dimensions=3, hidden=4, output_hidden=4)
    parameters = GeneratorLayout(settings, len(GENES)).initial(len(labels), generator)
    ImplicitPriors(
        list(labels),
        GENES,
        settings,
        parameters,
        torch.full((5,), -1.0),
        torch.full((5,), 3.0),
        seed=seed,
    ).save(path)
    return str(path)


def write_model(
    folder: Path, seed: int = 0, kind: str = "identity", embedding_dimensions: int = 6
) -> str:
    """A network that is no fit, with every kind of target."""
    generator = torch.Generator().manual_seed(seed)
    drift = Drift(
        len(GENES),
        len(TARGETS),
        DriftSettings(
            hidden=12, embedding_dimensions=embedding_dimensions, parameterization="linear_pull"
        ),
    )
    drift.reset(generator)
    with torch.no_grad():
        drift.embedding.copy_(torch.randn(drift.embedding.shape, generator=generator))
        drift.output.weight.mul_(0.2)
    states = 2 + torch.randn(3, 200, len(GENES), generator=generator)
    transform = StateTransform.fit(
        states, states[0], torch.full((5,), 3.0), StateSettings(transform=kind)
    )
    path = folder / "model.safetensors"
    LCD(GENES, TARGETS, drift, transform, torch.full((5,), 0.25)).save(path)
    return str(path)


def estimate(
    folder: Path,
    *,
    labels=LABELS,
    seed: int = 0,
    kind: str = "identity",
    estimator: str = "clipr",
    changes: str = "priors",
    target_genes=None,
    **clipr,
) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    estimate_effects.main(
        train=write_training_cells(folder / "train.h5ad", labels, target_genes),
        prior=write_prior(folder / "prior.safetensors", labels, seed),
        model=write_model(folder, seed, kind),
        effects=str(folder / "effects.h5ad"),
        responses=str(folder / "responses.h5ad"),
        table=str(folder / "responses.tsv"),
        clipr={**CLIPR, **clipr},
        estimator=estimator,
        changes=changes,
        samples=20,
        draws=3,
        seed=1,
        device="cpu",
    )
    return str(folder / "effects.h5ad")


class TestEstimate:
    @pytest.mark.parametrize("origin", ["control_mean", "zero"])
    def test_effects_are_clipr_of_the_responses_of_single_perturbations(self, tmp_path, origin):
        matrix = read_effects(estimate(tmp_path, origin=origin))
        responses = ad.read_h5ad(tmp_path / "responses.h5ad")
        assert responses.obs_names.tolist() == ["control", "A", "C", "drug"]
        v, limits = responses.layers["initial"][1:].T, responses.X[1:].T
        expected = clipr(v, limits, matrix.uns["ridge"]).effects
        np.testing.assert_allclose(matrix.X, expected.T, rtol=1e-9, atol=1e-12)
        pseudoinverse = responses.layers["pseudoinverse"]
        np.testing.assert_allclose(-v @ pseudoinverse[1:], expected, rtol=1e-9, atol=1e-12)
        assert np.isnan(pseudoinverse[0]).all()
        assert matrix.uns["perturbations"] == 3

    def test_rows_of_responses_are_those_of_the_gene_s_own_perturbation(self, tmp_path):
        matrix = read_effects(estimate(tmp_path))
        responses = ad.read_h5ad(tmp_path / "responses.h5ad")
        assert matrix.obs["perturbed"].tolist() == [True, False, True, False, False]
        assert responses.obs["target_is_gene"].tolist() == [False, True, True, False]
        for layer in ("initial", "limit", "pseudoinverse", "limit_expression"):
            assert np.isnan(matrix.layers[layer]).all(axis=1).tolist() == [
                False, True, False, True, True,
            ]  # fmt: skip
        np.testing.assert_array_equal(matrix.layers["limit"][2], responses["C"].X[0])
        np.testing.assert_array_equal(matrix.var["control_limit"], responses["control"].X[0])
        np.testing.assert_array_equal(
            matrix.layers["initial"][0], responses["A"].layers["initial"][0]
        )
        assert matrix.obs["converged"].isna().tolist() == [False, True, False, True, True]

    @pytest.mark.parametrize("kind", ["identity", "log_rate"])
    def test_expression_of_limits_is_that_of_their_rates(self, tmp_path, kind):
        estimate(tmp_path, kind=kind)
        responses = ad.read_h5ad(tmp_path / "responses.h5ad")
        transform = LCD.load(tmp_path / "model.safetensors").transform
        u = torch.from_numpy(responses.X + responses.var["origin"].to_numpy())
        if kind == "identity":
            rate = 3.0 * torch.logaddexp(u, torch.zeros_like(u))
        else:
            rate = torch.exp(torch.minimum(u, transform.ceiling)) - transform.settings.pseudocount
        expected = 0.75 * rate.clamp(min=0).numpy()
        lognorm = np.log1p(1e4 * expected / expected.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(
            responses.layers["limit_expression"], lognorm - lognorm[0], rtol=1e-5, atol=1e-5
        )
        assert responses.uns["coordinates"] == kind

    def test_an_embedding_smaller_than_the_number_of_perturbations_is_warned_about(
        self, tmp_path, caplog
    ):
        enough, few = (
            LCD.load(write_model(tmp_path, embedding_dimensions=size))
            for size in (len(TARGETS), len(TARGETS) - 1)
        )
        settings = LinearisationSettings()
        with caplog.at_level(logging.WARNING):
            linearise_model(enough, TARGETS, settings)
            assert "dimensions" not in caplog.text
            linearise_model(few, TARGETS[1:], settings)
            assert "dimensions" not in caplog.text
            linearise_model(few, TARGETS, settings)
        assert "2 dimensions for 3 perturbations" in caplog.text

    def test_a_model_is_left_as_it_is(self, tmp_path):
        model = LCD.load(write_model(tmp_path))
        linearise_model(model, TARGETS, LinearisationSettings())
        assert model.drift.embedding.dtype == torch.float32
        with pytest.raises(InputError, match="unknown perturbation targets"):
            linearise_model(model, ["Q"], LinearisationSettings())

    @pytest.mark.parametrize("estimator", ESTIMATORS)
    def test_every_estimator_answers_from_the_same_files(self, tmp_path, estimator):
        matrix = read_effects(estimate(tmp_path, estimator=estimator))
        assert matrix.uns["estimator"] == estimator
        assert np.isfinite(matrix.X).all()
        assert np.isfinite(ranking(matrix)).all()
        resolution = matrix.layers["resolution"]
        assert ((resolution >= 0) & (resolution <= 1)).all()
        published = read_effects(estimate(tmp_path / "published")).X
        np.testing.assert_allclose(matrix.layers["clipr"], published, rtol=1e-9, atol=1e-12)

    def test_guides_stand_for_the_genes_of_their_table(self, tmp_path):
        mapped = [("A", "B"), ("drug", "E"), ("C", "nowhere")]
        path = estimate(tmp_path, estimator="sparse_rows", target_genes=mapped)
        matrix = read_effects(path)
        assert matrix.obs_names[matrix.obs["perturbed"]].tolist() == ["B", "E"]
        assert perturbations_of(matrix)["B"] == ["A"]
        assert perturbations_of(matrix)["E"] == ["drug"]
        np.testing.assert_array_equal(
            matrix.layers["limit"][1], ad.read_h5ad(tmp_path / "responses.h5ad")["A"].X[0]
        )

    def test_combinations_are_equations_and_foreign_targets_are_none(self, tmp_path):
        screen = read_screen(write_training_cells(tmp_path / "train.h5ad"))
        assert modelled_targets(screen, GENES) == {"A": (0,), "A+C": (0, 2), "C": (2,)}
        both = read_effects(estimate(tmp_path / "a", estimator="target_aware_rows"))
        single = ["control", "A", "C", "drug"]
        alone = read_effects(estimate(tmp_path / "b", labels=single, estimator="target_aware_rows"))
        assert not np.allclose(both.X, alone.X)

    def test_changes_from_counts_know_nothing_of_the_priors(self, tmp_path):
        def own(folder, seed, changes):
            return read_effects(
                estimate(tmp_path / folder, seed=seed, changes=changes, estimator="sparse_rows")
            )

        counts = own("a", 0, "counts")
        np.testing.assert_array_equal(counts.X, own("b", 1, "counts").X)
        assert not np.array_equal(counts.X, own("c", 0, "normalised_counts").X)
        assert not np.array_equal(own("d", 0, "priors").X, own("e", 1, "priors").X)
        cells = read_screen(tmp_path / "a" / "train.h5ad")
        labels = cells.obs["perturbation"].astype(str).to_numpy()
        mean = {name: cells.X[labels == name].toarray().mean(axis=0) for name in ("control", "A")}
        expected = np.log(mean["A"] + 0.1) - np.log(mean["control"] + 0.1)
        np.testing.assert_allclose(counts.layers["change"][0], expected, rtol=1e-6)

    def test_without_known_targets_the_drift_answers(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            path = estimate(tmp_path, labels=["control", "drug"], estimator="adaptive_rows")
        matrix = read_effects(path)
        assert matrix.uns["estimator"] == "centred_ridge"
        assert "screen.target_genes" in caplog.text
        assert not matrix.obs["perturbed"].any()

    def test_distances_of_modules_by_changes_or_by_effects(self, tmp_path):
        matrix = read_effects(estimate(tmp_path))
        changes = module_distances(matrix, "changes", "file")
        expected = 1 - np.corrcoef(matrix.varm["changes"])
        np.testing.assert_allclose(changes, expected, atol=1e-9)
        assert not np.allclose(module_distances(matrix, "effects", "file"), changes)
        with pytest.raises(InputError, match=r"(?s)unknown distance.*changes or effects"):
            module_distances(matrix, "euclidean", "file")
        del matrix.varm["changes"]
        with pytest.raises(InputError, match="varm"):
            module_distances(matrix, "changes", "file")

    def test_a_screen_without_singles_is_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"(?s)one target alone.*A\+C"):
            estimate(tmp_path, labels=["control", "A+C"])


class TestCombine:
    def test_mean_spread_and_agreement(self, tmp_path):
        fits = [estimate(tmp_path / str(seed), seed=seed) for seed in range(3)]
        combine_effects.main(fits=fits, ensemble=str(tmp_path / "ensemble.h5ad"))
        each = np.stack([read_effects(path).X for path in fits])
        ensemble = read_effects(tmp_path / "ensemble.h5ad")
        np.testing.assert_allclose(ensemble.X, each.mean(axis=0))
        np.testing.assert_allclose(ensemble.layers["sd"], each.std(axis=0, ddof=1))
        agreeing = sum((np.sign(own) == np.sign(each.mean(axis=0))).astype(int) for own in each)
        np.testing.assert_allclose(ensemble.layers["sign_agreement"], agreeing / 3)
        assert ensemble.uns["fits"] == 3
        limits = np.mean([read_effects(path).layers["limit"] for path in fits], axis=0)
        np.testing.assert_allclose(ensemble.layers["limit"], limits)
        control = np.mean([read_effects(path).var["control_limit"] for path in fits], axis=0)
        np.testing.assert_allclose(ensemble.var["control_limit"], control)

    def test_one_fit_has_no_spread(self, tmp_path):
        fit = estimate(tmp_path)
        combine_effects.main(fits=[fit], ensemble=str(tmp_path / "ensemble.h5ad"))
        ensemble = read_effects(tmp_path / "ensemble.h5ad")
        np.testing.assert_array_equal(ensemble.X, read_effects(fit).X)
        assert not {"sd", "sign_agreement"} & set(ensemble.layers)

    def test_fits_of_other_perturbations_are_refused(self, tmp_path):
        fits = [
            estimate(tmp_path / "a"),
            estimate(tmp_path / "b", labels=["control", "A", "drug"]),
        ]
        with pytest.raises(InputError, match="same perturbed causes"):
            combine_effects.main(fits=fits, ensemble=str(tmp_path / "ensemble.h5ad"))


def write_effects(path: Path, X, perturbed) -> str:
    obs = pd.DataFrame({"perturbed": perturbed}, index=GENES)
    write_h5ad(ad.AnnData(np.asarray(X), obs=obs, var=pd.DataFrame(index=GENES)), path)
    return str(path)


class TestHeldOutCauses:
    @pytest.fixture
    def strong(self, tmp_path) -> str:
        X = np.full((5, 5), 0.1)
        X[0, 1], X[2, 1], X[2, 3], X[4, 1], X[1, 0] = 5.0, -4.0, 3.0, 2.0, 9.0
        np.fill_diagonal(X, 100.0)
        return write_effects(tmp_path / "effects.h5ad", X, [True, False, True, True, True])

    def test_causes_are_those_of_the_strongest_edges_that_were_perturbed(self, strong, tmp_path):
        causes = tmp_path / "causes.tsv"
        arguments = {"effects": strong, "causes": str(causes), "k": 4, "folds": ["one", "two"]}
        choose_held_out_causes.main(**arguments, seed=1)
        table = read_tsv(causes)
        assert table["cause"].tolist() == ["A", "C", "E"]  # B has the strongest, unperturbed
        assert table["edges"].tolist() == [1, 2, 1]
        assert sorted(table["fold"].value_counts().tolist()) == [1, 2]
        first = causes.read_bytes()
        choose_held_out_causes.main(**arguments, seed=1)
        assert causes.read_bytes() == first

    def test_more_folds_than_causes_are_refused(self, strong, tmp_path):
        with pytest.raises(InputError, match=r"(?s)fewer perturbed causes.*held_out_folds"):
            choose_held_out_causes.main(
                effects=strong, causes=str(tmp_path / "c.tsv"), k=1, folds=["one", "two"], seed=1
            )

    def test_no_cell_of_a_held_out_cause_is_left(self, tmp_path):
        train = write_training_cells(tmp_path / "train.h5ad")
        causes = tmp_path / "causes.tsv"
        write_tsv(pd.DataFrame({"cause": ["A", "C"], "fold": ["one", "two"]}), causes)
        hold_out_causes.main(
            train=train,
            causes=str(causes),
            held_out_train=str(tmp_path / "left.h5ad"),
            held_out=str(tmp_path / "names.txt"),
            fold="one",
        )
        left = read_screen(tmp_path / "left.h5ad")
        assert set(left.obs["perturbation"]) == {"control", "C", "drug"}
        assert left.var_names.tolist() == GENES
        assert (tmp_path / "names.txt").read_text() == "A\nA+C\n"

    def test_a_fold_that_leaves_nothing_is_refused(self, tmp_path):
        train = write_training_cells(tmp_path / "train.h5ad", ["control", "A"])
        write_tsv(pd.DataFrame({"cause": ["A"], "fold": ["one"]}), tmp_path / "causes.tsv")
        with pytest.raises(InputError, match="no perturbation is left"):
            hold_out_causes.main(
                train=train,
                causes=str(tmp_path / "causes.tsv"),
                held_out_train=str(tmp_path / "left.h5ad"),
                held_out=str(tmp_path / "names.txt"),
                fold="one",
            )
        assert not (tmp_path / "left.h5ad").exists()

    def test_each_row_comes_from_the_model_that_did_not_see_its_cause(self, tmp_path):
        write_tsv(
            pd.DataFrame(
                {
                    "cause": ["A", "C", "E"],
                    "fold": ["one", "two", "one"],
                    "perturbations": ["A", "C", "E_1+E_2"],
                }
            ),
            tmp_path / "causes.tsv",
        )
        rng = np.random.default_rng(0)
        one, two = rng.normal(size=(2, 5, 5))
        fits = [
            write_effects(tmp_path / "1.h5ad", one, [False, True, True, True, False]),
            write_effects(tmp_path / "2.h5ad", two, [True, True, False, True, True]),
        ]
        arguments = {"causes": str(tmp_path / "causes.tsv"), "effects": str(tmp_path / "e.h5ad")}
        arguments["folds"] = ["one", "two"]
        assemble_held_out_effects.main(fits=fits, **arguments)
        held_out = read_effects(tmp_path / "e.h5ad")
        assert held_out.obs_names.tolist() == ["A", "C", "E"]
        assert held_out.obs["fold"].tolist() == ["one", "two", "one"]
        np.testing.assert_array_equal(held_out.X, np.stack([one[0], two[2], one[4]]))
        np.testing.assert_array_equal(ranking(held_out).T, held_out.X)
        assert perturbations_of(held_out) == {"A": ["A"], "C": ["C"], "E": ["E_1", "E_2"]}
        with pytest.raises(InputError, match=r"(?s)saw a held-out cause.*"):
            assemble_held_out_effects.main(fits=fits[::-1], **arguments)
