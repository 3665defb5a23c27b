"""Predictions of combinations by a model whose interactions are planted."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.model import LCD
from lcd_core.settings import DriftSettings, StateSettings
from lcd_core.states import StateTransform
from pipeline.config.interactions import Thresholds
from pipeline.predictions import read_prediction
from pipeline.tables import read_tsv
from predictions import (
    draw_predictions,
    list_combinations,
    measure_predictions,
    predict_combinations,
    sample_combinations,
    summarise_predictions,
    write_predictions_html,
)
from tests.scripts.predictions_fixture import GENES, TRAINED, cells_of

EFFECT = 1.0
"""Change of the logarithm of the rate of genes i and i + 4 under the target i."""

INTERACTION = {("A", "B"): 10}
"""Gene that a pair moves besides, by one unit."""


def planted_states(drift, membership, n, *, seed, sampler=None):
    """Log rates: of the control, with its noise, plus effects and the interaction of a pair."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.2 * torch.randn(n, len(GENES), generator=generator)
    shift = torch.zeros(len(membership), len(GENES))
    for i in range(membership.shape[1]):
        shift[:, [i, i + 4]] += EFFECT * membership[:, i, None]
    both = membership[:, 0] * membership[:, 1]
    shift[:, 10] += both * (
        1.0 + float(drift.embedding.detach()[0, 0])
    )  # by how much, depends on the fit
    return shift[:, None] + noise


def planted_model(path: Path, own: float) -> str:
    """Write a model of log rates with unit scaling; `own` tells its fit from others."""
    settings = DriftSettings(hidden=4, embedding_dimensions=2, time_dimensions=2, noise_levels=3)
    drift = Drift(len(GENES), 3, settings)
    drift.reset(torch.Generator().manual_seed(1))
    with torch.no_grad():
        drift.embedding.fill_(own)
    d = len(GENES)
    transform = StateTransform(
        StateSettings(transform="log_rate"),
        torch.linspace(1.0, 2.0, d), torch.ones(d), torch.ones(d), torch.full((d,), 20.0),
    )  # fmt: skip
    LCD(GENES, ["A", "B", "C"], drift, transform, torch.zeros(d)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def panel(tmp_path_factory) -> Path:
    """All files of a panel of three targets, by two fits that differ by 0.2 in the interaction."""
    folder = tmp_path_factory.mktemp("panel")
    write_inputs(folder)
    list_panel(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict_combinations, "coupled_states", planted_states)
        for fit, own in (("first", -0.1), ("second", 0.1)):
            model = planted_model(folder / f"{fit}.safetensors", own)
            for part in ("references", "1", "2"):
                predict(folder, model, fit, part)
    for fit in ("first", "second"):
        for part in ("1", "2"):
            measure_predictions.main(
                profiles=f"{folder}/{fit}_{part}.h5ad",
                references=f"{folder}/{fit}_references.h5ad",
                genes=f"{folder}/genes.tsv",
                measures=f"{folder}/{fit}_{part}.tsv",
            )
    files = [f"{folder}/{fit}_{part}" for fit in ("first", "second") for part in ("1", "2")]
    summarise_predictions.main(
        combinations=f"{folder}/combinations.tsv",
        genes=f"{folder}/genes.tsv",
        references=[f"{folder}/{fit}_references.h5ad" for fit in ("first", "second")],
        profiles=[f"{file}.h5ad" for file in files],
        measures=[f"{file}.tsv" for file in files],
        predictions=f"{folder}/predictions.tsv",
        mean_profiles=f"{folder}/profiles.h5ad",
        top=f"{folder}/top_genes.tsv",
        candidates=f"{folder}/next.tsv",
        thresholds=f"{folder}/thresholds.tsv",
        published=Thresholds().model_dump(),
        n_fits=2,
        n_states=40,
        nearest_by="cosine",
        top_genes=2,
        listed=3,
    )
    return folder


def write_inputs(folder: Path) -> None:
    """Write the training cells, and a wanted change: that of A and C together."""
    cells_of(TRAINED, 1).write_h5ad(folder / "train.h5ad")
    changes = [EFFECT if i in (0, 4, 2, 6) else 0.0 for i in range(len(GENES))]
    wanted = pd.DataFrame({"gene": GENES, "change": changes})
    wanted.to_csv(folder / "wanted.tsv", sep="\t", index=False)


def list_panel(folder: Path, **changes: object) -> None:
    given = {
        "train": f"{folder}/train.h5ad", "signature": f"{folder}/wanted.tsv",
        "combinations": f"{folder}/combinations.tsv", "genes": f"{folder}/genes.tsv",
        "named": (), "cells_of": ("A+B+C",), "targets": (), "up_to": 2, "all_pairs": False,
        "max_combinations": 100, "parts": 2, "wanted_condition": None, "interaction_genes": 200,
        "min_count": 0.5, "scale": "none", "where": "mine.yaml, predictions",
    }  # fmt: skip
    list_combinations.main(**(given | changes))


def predict(folder: Path, model: str, fit: str, part: str) -> None:
    predict_combinations.main(
        combinations=f"{folder}/combinations.tsv",
        model=model,
        profiles=f"{folder}/{fit}_{part}.h5ad",
        part=part,
        n_states=40,
        sampler="flow",
        seed=5,
        device="cpu",
    )


def test_the_planted_interaction_is_what_is_found(panel):
    table = read_tsv(panel / "predictions.tsv").set_index("perturbation")
    assert table.index.tolist() == ["A+B", "A+C", "B+C", "A+B+C"]
    assert table.loc["A+B", "non_additive_genes"].split(", ")[0] == "G10"
    assert table["non_additivity"].drop("A+B+C").idxmax() == "A+B"
    # Pairs without an interaction are not additive in shares of counts, but nearly.
    assert table.loc["A+B", "non_additivity"] > 2.5 * table.loc["A+C", "non_additivity"]
    assert (table["sampling_error"] < 0.05 * table["non_additivity"]).all()
    assert table.loc["A+B", "non_additivity_sd"] > 5 * table.loc["A+C", "non_additivity_sd"]
    assert table["measured_cells"].to_dict() == {"A+B": 0, "A+C": 30, "B+C": 30, "A+B+C": 0}
    assert table["magnitude"].isna().to_dict()["A+B+C"]
    assert table["magnitude"].notna().sum() == 3


def test_changes_are_those_of_the_rates(panel):
    profiles = ad.read_h5ad(panel / "profiles.h5ad")
    assert profiles.obs_names.tolist() == ["control", "A", "B", "C", "A+B", "A+C", "B+C", "A+B+C"]
    levels = torch.linspace(1.0, 2.0, len(GENES)).double() + planted_states(
        Drift(12, 3, DriftSettings(hidden=4, embedding_dimensions=2)),
        torch.zeros(1, 3), 4000, seed=9,
    )[0].double()  # fmt: skip
    means = {}
    for name, genes in (("control", []), ("A", [0, 4])):
        rate = levels.clone()
        rate[:, genes] += EFFECT
        cells = torch.poisson((rate.exp() - 0.1).repeat(50, 1))
        shares = 1e4 * cells / cells.sum(dim=1, keepdim=True)
        means[name] = shares.log1p().mean(dim=0).numpy()
    change = profiles["A"].layers["change"].ravel()
    assert change == pytest.approx(means["A"] - means["control"], abs=0.04)
    assert np.abs(profiles["A"].layers["non_additivity"]).max() == 0
    assert profiles["control"].X.ravel() == pytest.approx(means["control"], abs=0.15)
    assert (profiles.layers["variance"] > 0).all()
    beyond = profiles["A+B"].layers["non_additivity"].ravel()
    expected = (
        profiles["A+B"].layers["change"]
        - profiles["A"].layers["change"]
        - profiles["B"].layers["change"]
    ).ravel()
    assert beyond == pytest.approx(expected, abs=1e-5)


def test_the_profiles_are_a_prediction_of_the_contract(panel):
    read = read_prediction(panel / "profiles.h5ad", GENES, ["A+B", "A+B+C"])
    assert read.values == "profile"
    assert set(read.n_cells) == {80}


def test_what_to_measure_next(panel):
    table = read_tsv(panel / "next.tsv")
    first = table[table["rank"] == 1].set_index("reason")
    assert first.loc["wanted", "perturbation"] == "A+C"
    assert bool(first.loc["wanted", "measured"])
    assert first.loc["non_additive", "perturbation"] in ("A+B", "A+B+C")
    assert first.loc["uncertain", "perturbation"] in ("A+B", "A+B+C")
    wanted = table[table["reason"] == "wanted"]
    assert wanted["value"].is_monotonic_decreasing
    assert len(wanted) == 3
    top = read_tsv(panel / "top_genes.tsv")
    assert top.groupby(["perturbation", "by"]).size().unique().tolist() == [2]


def test_one_fit_has_no_spread(panel, tmp_path):
    summarise_predictions.main(
        combinations=f"{panel}/combinations.tsv",
        genes=f"{panel}/genes.tsv",
        references=[f"{panel}/first_references.h5ad"],
        profiles=[f"{panel}/first_{part}.h5ad" for part in ("1", "2")],
        measures=[f"{panel}/first_{part}.tsv" for part in ("1", "2")],
        predictions=f"{tmp_path}/predictions.tsv",
        mean_profiles=f"{tmp_path}/profiles.h5ad",
        top=f"{tmp_path}/top_genes.tsv",
        candidates=f"{tmp_path}/next.tsv",
        thresholds=f"{tmp_path}/thresholds.tsv",
        published=Thresholds().model_dump(),
        n_fits=1,
        n_states=40,
        nearest_by="distance",
        top_genes=2,
        listed=3,
    )
    table = read_tsv(tmp_path / "predictions.tsv")
    assert table[["non_additivity_sd", "spread", "magnitude_sd"]].isna().all(axis=None)
    reasons = read_tsv(tmp_path / "next.tsv")
    assert set(reasons["reason"]) == {"non_additive", "wanted"}
    wanted = reasons.loc[reasons["reason"] == "wanted", "value"]
    assert wanted.is_monotonic_increasing


def test_figures_and_page(panel, tmp_path):
    given = {
        "predictions": f"{panel}/predictions.tsv",
        "candidates": f"{panel}/next.tsv",
        "thresholds": f"{panel}/thresholds.tsv",
        "nearest_by": "cosine",
    }
    figures = {name: str(tmp_path / f"{name}.svg") for name in ("map", "candidates")}
    draw_predictions.main(
        **given, interactions_figure=figures["map"], candidates_figure=figures["candidates"]
    )
    drawn = Path(figures["map"]).read_text()
    assert all(word in drawn for word in ("Non-additivity", "Magnitude", ">A<", ">C<"))
    listed = Path(figures["candidates"]).read_text()
    assert all(word in listed for word in ("Most uncertain", "A+B", "Nearest"))
    write_predictions_html.main(**given, predictions_page=f"{tmp_path}/page.html")
    page = (tmp_path / "page.html").read_text()
    assert all(word in page for word in ("A+B+C", "most uncertain", "G10", "Cosine to wanted"))


def test_cells_are_a_prediction_of_the_contract(panel, tmp_path):
    sample_combinations.main(
        combinations=f"{panel}/combinations.tsv",
        model=f"{panel}/first.safetensors",
        cells=f"{tmp_path}/cells.h5ad",
        named=("C+A+B",),
        n_cells=5,
        sampler="flow",
        seed=1,
        device="cpu",
    )
    read = read_prediction(tmp_path / "cells.h5ad", GENES, ["A+B+C"])
    assert read.values == "counts"
    assert len(read.labels) == 5


def test_the_first_batch_tells_the_time_of_all(panel, caplog):
    caplog.set_level("INFO")
    predict_combinations.tell(2.0, 10, 475)
    assert "about 95 s for the 475 of this part" in caplog.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parts": 9}, ["more parts than combinations", "9 parts, 4 combinations"]),
        (
            {"wanted_condition": "X", "signature": None},
            ["no such perturbation", "wanted_condition"],
        ),
        ({"named": ("A+Q",)}, ["no perturbation of these targets", "Q"]),
    ],
)
def test_what_does_not_fit_the_screen(panel, tmp_path, changes, words):
    with pytest.raises(InputError) as error:
        list_panel(panel, combinations=f"{tmp_path}/c.tsv", genes=f"{tmp_path}/g.tsv", **changes)
    assert all(word in str(error.value) for word in words)


def test_a_signature_of_other_genes(panel, tmp_path):
    (tmp_path / "wanted.tsv").write_text("gene\tchange\nENSG1\t1\nENSG2\t1\nG1\t2\n")
    with pytest.raises(InputError, match="ENSG1") as error:
        list_panel(panel, signature=f"{tmp_path}/wanted.tsv", combinations=f"{tmp_path}/c.tsv")
    assert "3 genes, 1 of them modelled" in str(error.value)


@pytest.mark.parametrize(("others", "warned"), [(5, True), (3, False)])
def test_a_signature_of_which_little_is_modelled(panel, tmp_path, caplog, others, warned):
    lines = ["gene\tchange", "G1 \t1", "G2\t1", "G3\t2", *(f"X{i}\t1" for i in range(others))]
    (tmp_path / "wanted.tsv").write_text("\n".join([*lines, ""]))
    made = {"combinations": f"{tmp_path}/c.tsv", "genes": f"{tmp_path}/genes.tsv"}
    list_panel(panel, signature=f"{tmp_path}/wanted.tsv", **made)
    warnings = [own.getMessage() for own in caplog.records if own.levelname == "WARNING"]
    words = f"3 of {3 + others} genes are modelled"
    assert [words in own and "X0, X1" in own for own in warnings] == [True] * warned


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e308, 1e100, 1, 1e-200, 5e-324])
def test_the_angle_to_a_wanted_change_has_no_unit(unit):
    wanted = np.array([1.0, -1.0, np.nan]) * unit
    changes = np.array([[2.0, -2.0, 5.0], [1.0, 0.0, 5.0], [0.0, 0.0, 1.0]])
    found = summarise_predictions.cosine(changes, wanted)
    assert found == pytest.approx([1, np.sqrt(0.5), np.nan], nan_ok=True)


def test_no_angle_to_no_change():
    for wanted in ([np.nan, np.nan], [0.0, 0.0]):
        assert np.isnan(summarise_predictions.cosine(np.ones((2, 2)), np.array(wanted))).all()


def test_a_condition_of_the_screen_as_what_is_wanted(panel, tmp_path):
    list_panel(
        panel, signature=None, wanted_condition="C+B", genes=f"{tmp_path}/genes.tsv",
        combinations=f"{tmp_path}/c.tsv",
    )  # fmt: skip
    wanted = read_tsv(tmp_path / "genes.tsv").set_index("gene")["wanted"]
    assert set(wanted.nlargest(4).index) == {"G1", "G2", "G5", "G6"}


def test_genes_of_interactions_are_those_that_change_most(panel, tmp_path):
    list_panel(
        panel, interaction_genes=6, genes=f"{tmp_path}/genes.tsv", combinations=f"{tmp_path}/c.tsv"
    )
    table = read_tsv(tmp_path / "genes.tsv").set_index("gene")
    chosen = set(table.index[table["in_interactions"]])
    assert len(chosen) == 6
    assert {"G4", "G5", "G6"} <= chosen  # threefold, of the larger counts
