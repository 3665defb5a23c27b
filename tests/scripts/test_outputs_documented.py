"""docs/outputs.md describes every file, column and metric of a run; the README's examples work."""

import json
import re
from pathlib import Path

import anndata as ad
import pytest
import yaml
from safetensors import safe_open

from benchmark import aggregate_metrics, compute_metrics
from benchmark import test_differential_expression as test_de
from effects import (
    assemble_held_out_effects,
    choose_held_out_causes,
    combine_effects,
    differential_expression,
    enrich_modules,
    estimate_effects,
    export_effects,
    find_modules,
    score_recovery,
    validate_edges,
)
from evaluation.registry import METRICS
from folds import make_folds, select_genes
from linear_systems import (
    aggregate_linear_systems,
    fit_linear_drift,
    make_linear_system,
    score_linear_system,
)
from methods.ceiling import predict as predict_ceiling
from methods.lcd import check_fits, fit_drift, fit_prior
from methods.lcd import predict as predict_lcd
from methods.salt import predict as predict_salt
from pipeline.config import Clipr, load_config
from pipeline.effects import read_effects
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv
from screen import filter_screen, import_screen, simulate_screen

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
SAMPLER = {"step_size": 1.0, "steps_per_level": 1}


def sections() -> dict[str, str]:
    """Text below the headings that name files, by file."""
    found = {}
    for block in re.split(r"^##+ ", TEXT, flags=re.M)[1:]:
        heading, _, body = block.partition("\n")
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", heading), body))
    return found


def documented(body: str, kind: str = "column") -> list[str]:
    """First cells of the table headed by ``kind``; none where there is no such table."""
    table = re.search(rf"^\| {kind} \|.*\n\|[-|]+\n((?:\|.*\n?)*)", body, flags=re.M)
    return re.findall(r"^\| `([^`]+)` \|", table[1], flags=re.M) if table else []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a run that learns nothing, made by calling the scripts one after the other."""
    root = tmp_path_factory.mktemp("results")
    fold = root / "folds" / "1"

    def at(name: str, below: Path = root) -> str:
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        return str(below / name)

    simulate_screen.main(
        screen=at("simulation/screen.h5ad"),
        effects=at("simulation/effects.tsv"),
        modules=at("simulation/modules.gmt"),
        genes=36,
        targets=3,
        doubles=3,
        cells_per_condition=8,
        control_cells=12,
        kind="activation",
        seed=1,
    )
    import_screen.main(
        raw=at("simulation/screen.h5ad"),
        screen=at("screen/imported.h5ad"),
        counts="X",
        perturbation_column="perturbation",
        control_label="control",
        separator=["+"],
        keep={},
        gene_name_column=None,
        ignore_labels=[],
    )
    filter_screen.main(
        screen=at("screen/imported.h5ad"),
        filtered=at("screen/filtered.h5ad"),
        table=at("screen/quality_control.tsv"),
        conditions=at("screen/conditions.tsv"),
        min_cells_per_gene=1,
        min_genes_per_cell=1,
        min_cells_per_perturbation=2,
        mitochondrial_prefix="MT-",
        max_mitochondrial_percent=None,
        min_counts=1,
        max_counts=None,
        min_genes=None,
        max_genes=None,
    )
    make_folds.main(
        conditions=at("screen/conditions.tsv"),
        folds=at("folds/folds.tsv"),
        n_folds=1,
        tuning_doubles=0,
        unmeasured_singles="test",
        max_test_doubles=2,
        seed=1,
    )
    train, test = at("train.h5ad", fold), at("test.h5ad", fold)
    names = at("test_perturbations.txt", fold)
    select_genes.main(
        screen=at("screen/filtered.h5ad"),
        folds=at("folds/folds.tsv"),
        genes=at("genes.tsv", fold),
        markers=at("markers.tsv", fold),
        train=train,
        test=test,
        test_perturbations=names,
        fold="1",
        n_genes=12,
        markers_per_perturbation=2,
    )
    test_de.main(train=train, test=test, table=at("test_de.tsv", fold))

    prior, model = at("prior/prior.safetensors", fold), at("model/model.safetensors", fold)
    size = {"hidden": 4, "output_hidden": 4, "blocks": 1, "output_blocks": 1, "steps": 2}
    fit_prior.main(
        train=train,
        weights=prior,
        metadata=at("prior/prior.json", fold),
        training_log=at("prior/log.tsv", fold),
        settings=size | {"batch_cells": 4, "monte_carlo_states": 4, "latent_dimensions": 4},
        seed=1,
        device="cpu",
    )
    fit_drift.main(
        prior=prior,
        test_perturbations=names,
        weights=model,
        metadata=at("model/model.json", fold),
        training_log=at("model/log.tsv", fold),
        settings={"steps": 2, "batch_states": 8},
        network={"hidden": 4, "embedding_dimensions": 2, "time_dimensions": 2},
        levels={"count": 3},
        states={
            "transform": "log_rate",
            "pseudocount": 0.1,
            "scaling": "standard_deviation",
            "shrinkage": 0.0,
        },
        samples=10,
        seed=1,
        device="cpu",
    )
    check_fits.main(
        train=train,
        prior=prior,
        model=model,
        table=at("checks/training_conditions.tsv", fold),
        genes=at("checks/genes.tsv", fold),
        states=at("checks/states.tsv", fold),
        n_cells=4,
        top_genes=3,
        sampler=SAMPLER,
        seed=1,
        device="cpu",
    )

    predictions = {name: at(f"predictions/{name}.h5ad", fold) for name in ("lcd", "salt")}
    ceiling = at("predictions/ceiling.h5ad", fold)
    rest = {"test_perturbations": names, "n_cells": 4, "seed": 1}
    predict_salt.main(train=train, prediction=predictions["salt"], **rest)
    predict_ceiling.main(train=train, test=test, prediction=ceiling, **rest)
    predict_lcd.main(
        weights=model,
        metadata=at("model/model.json", fold),
        prediction=predictions["lcd"],
        draws_per_state=1,
        sampler=SAMPLER,
        device="cpu",
        **rest,
    )
    for method, prediction in predictions.items():
        compute_metrics.main(
            train=train,
            test=test,
            prediction=prediction,
            differential_expression=at("test_de.tsv", fold),
            metrics_table=at(f"metrics/{method}.tsv", fold),
            metrics=["mmd_top_de"],
            top_genes=3,
            max_cells=None,
            method=method,
            fold="1",
            seed=1,
        )
    aggregate_metrics.main(
        tables=[at(f"metrics/{method}.tsv", fold) for method in predictions],
        metrics=at("benchmark/metrics.tsv"),
        summary=at("benchmark/summary.tsv"),
        win_rates=at("benchmark/win_rates.tsv"),
    )
    write_effects(root, train, model)
    write_linear_system(root / "linear_systems", "erdos_renyi_d6_p50_s1")
    return root


def write_effects(root: Path, train: str, model: str) -> None:
    """Files of the causal effects, from the model of one fold."""

    def at(name: str, below: str = "effects") -> str:
        (root / below / name).parent.mkdir(parents=True, exist_ok=True)
        return str(root / below / name)

    de, ensemble = at("differential_expression.tsv"), at("ensemble.h5ad")
    differential_expression.main(screen=train, table=de)
    fit = at("fits/1/effects.h5ad")
    estimate_effects.main(
        train=train,
        model=model,
        effects=fit,
        responses=at("fits/1/responses.h5ad"),
        table=at("fits/1/responses.tsv"),
        clipr=Clipr(exclude_unconverged=False).model_dump(),
        device="cpu",
    )
    combine_effects.main(fits=[fit, fit], ensemble=ensemble)
    modules = at("modules.tsv")
    find_modules.main(
        effects=ensemble,
        tree=at("tree.tsv"),
        order=at("order.tsv"),
        membership=modules,
        cut="number",
        number=2,
        min_size=2,
    )
    enrich_modules.main(
        membership=modules,
        gene_sets=[at("modules.gmt", "simulation")],
        table=at("enrichment.tsv"),
        top_table=at("top_terms.tsv"),
    )
    export_effects.main(
        effects=ensemble,
        membership=modules,
        annotated=at("effects.h5ad"),
        edges=at("edges.tsv"),
        graphml=at("network.graphml"),
        k=5,
    )
    causes, held_out = at("held_out/causes.tsv"), at("held_out/effects.h5ad")
    choose_held_out_causes.main(effects=ensemble, causes=causes, k=20, n_folds=1, seed=1)
    unseen = read_effects(fit)
    unseen.obs["perturbed"] = False
    write_h5ad(unseen, root / "unseen.h5ad")
    assemble_held_out_effects.main(
        causes=causes, fits=[str(root / "unseen.h5ad")], effects=held_out
    )
    (root / "unseen.h5ad").unlink()
    for matrix, folder in ((ensemble, "effects"), (held_out, "effects/held_out")):
        validate_edges.main(
            effects=matrix,
            differential_expression=de,
            edges=at("validated_edges.tsv", folder),
            validation=at("validation.tsv", folder),
            fractions=[1.0],
            seed=1,
        )
    score_recovery.main(
        effects=ensemble,
        seed_effects=[fit],
        true_effects=at("effects.tsv", "simulation"),
        true_modules=at("modules.gmt", "simulation"),
        membership=modules,
        differential_expression=de,
        train=train,
        recovery=at("recovery.tsv"),
        curve=at("recovery_curve.tsv"),
        min_size=2,
    )


def write_linear_system(folder: Path, system: str) -> None:
    """Files of one linear system, and the tables over all."""

    def at(name: str) -> str:
        return str(folder / system / name)

    make_linear_system.main(
        system=at("system.safetensors"),
        metadata=at("system.json"),
        structure="erdos_renyi",
        genes=6,
        percent=50,
        number=1,
        links_per_gene=2,
        strength=2.0,
        flip_probability=0.1,
        sigma=1.0,
        samples_per_condition=5,
        seed=1,
        sample_seed=2,
    )
    fit_linear_drift.main(
        system=at("system.safetensors"),
        weights=at("model.safetensors"),
        metadata=at("model.json"),
        training_log=at("log.tsv"),
        settings={"steps": 2, "batch_states": 8},
        network={"hidden": 4, "embedding_dimensions": 2, "time_dimensions": 2},
        levels={"count": 3},
        scaling="covariance",
        seed=1,
        device="cpu",
    )
    score_linear_system.main(
        system=at("system.safetensors"),
        model=at("model.safetensors"),
        scores=at("scores.tsv"),
        responses=at("responses.tsv"),
        effects=at("effects.safetensors"),
        effects_metadata=at("effects.json"),
        clipr=Clipr(exclude_unconverged=False).model_dump(),
        threshold=0.5,
        top_effects_per_gene=[1],
        device="cpu",
    )
    aggregate_linear_systems.main(
        score_tables=[at("scores.tsv")],
        response_tables=[at("responses.tsv")],
        training_logs=[at("log.tsv")],
        effects=[at("effects.safetensors")],
        scores=str(folder / "scores.tsv"),
        summary=str(folder / "summary.tsv"),
        systems=str(folder / "systems.tsv"),
    )


def section_of(path: Path, results: Path) -> str:
    """Text on a file of the run; its fold, method and linear system are wildcards there."""
    name = path.relative_to(results).as_posix().replace("folds/1/", "folds/<fold>/")
    name = name.replace("fits/1/", "fits/<fold>/")
    system = "<structure>_d<genes>_p<percent>_s<system>/"
    name = name.replace("erdos_renyi_d6_p50_s1/", system)
    name = re.sub(r"(predictions|metrics)/\w+\.(h5ad|tsv)", r"\1/<method>.\2", name)
    if system + "model." in name or system + "log." in name:
        name = f"folds/<fold>/model/{Path(name).name}"  # described there for both
    assert name in sections(), f"{name} has no section"
    return sections()[name]


def test_columns_of_all_tables(results: Path) -> None:
    tables = sorted(results.rglob("*.tsv"))
    assert len(tables) >= 15
    written = {str(path): list(read_tsv(path).columns) for path in tables}
    described = {str(path): documented(section_of(path, results)) for path in tables}
    assert described == written


def test_contents_of_all_h5ad_files(results: Path) -> None:
    files = sorted(results.rglob("*.h5ad"))
    assert len(files) >= 8
    for path in files:
        body, cells = section_of(path, results), ad.read_h5ad(path)
        if "as in `screen/imported.h5ad`" in body or "The same, after" in body:
            body = sections()["screen/imported.h5ad"]
        parts = {
            "obs": cells.obs.columns,
            "var": cells.var.columns,
            "layers": cells.layers,
            "uns": cells.uns,
        }
        names = [f'`{part}["{name}"]`' for part, keys in parts.items() for name in keys]
        assert not [name for name in names if name not in body], path


def test_contents_of_fitted_objects(results: Path) -> None:
    for path in sorted(results.rglob("*.json")):
        described = re.findall(r"^- `(\w+)`", section_of(path, results), flags=re.M)
        assert described == list(json.loads(path.read_text())), path
    for path in sorted(results.rglob("*.safetensors")):
        body = section_of(path, results)
        with safe_open(path, framework="np") as weights:
            names = {re.sub(r"^drift\..*", "drift.*", name) for name in weights.keys()}  # noqa: SIM118
        assert not [name for name in names if f"`{name}`" not in body], path


def test_every_output_of_a_rule_is_described() -> None:
    declared = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        for constant, folder in re.findall(r'^(\w+) = "(<results>/[^"]+)"', text, flags=re.M):
            text = text.replace(f"{{{constant}}}", folder)
        for block in re.findall(r"^    output:\n((?:        .*\n)+)", text, flags=re.M):
            declared |= set(re.findall(r'"<results>/([^"]+)"', block))
    assert len(declared) >= 20
    wildcards = {re.sub(r"\{\{?(\w+)\}\}?", r"<\1>", name) for name in declared}
    wildcards = {re.sub("predictions/lcd", "predictions/<method>", name) for name in wildcards}
    assert wildcards <= set(sections())


def test_every_metric_is_described() -> None:
    body = next(
        block for block in re.split(r"^##+ ", TEXT, flags=re.M) if block.startswith("Metrics\n")
    )
    directions = dict(re.findall(r"^\| `(\w+)` \| (lower|higher) \|", body, flags=re.M))
    assert directions == {name: metric.direction for name, metric in METRICS.items()}


def test_parser_reads_what_it_should() -> None:
    body = "words\n\n| column | meaning |\n|---|---|\n| `a` | x |\n| `b` | `c` |\n\n| `d` | y |\n"
    assert documented(body) == ["a", "b"]
    assert documented("no table") == []


def readme_block(language: str) -> str:
    """The first example in a language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)[1]


def test_readme_example_samples_three_targets(results: Path) -> None:
    code = readme_block("python")
    folder = "results/default/folds/1/model"
    assert folder in code
    names: dict[str, object] = {}
    exec(code.replace(folder, str(results / "folds" / "1" / "model")), names)
    assert names["counts"].shape == (1000, 12)


def test_readme_configuration_is_accepted() -> None:
    config = load_config(yaml.safe_load(readme_block("yaml")), "README.md")
    assert config.run == "mine"
