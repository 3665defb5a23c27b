"""docs/outputs.md describes every file, column and metric of a run; examples of READMEs work."""

import json
import re
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
import yaml
from safetensors import safe_open

from benchmark import (
    aggregate_interactions,
    aggregate_metrics,
    compute_metrics,
    measure_interactions,
)
from effects import (
    assemble_held_out_effects,
    check_gene_sets,
    choose_held_out_causes,
    combine_effects,
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
from methods.lcd import check_fits, fit_drift, fit_prior, summarise_fits
from methods.lcd import predict as predict_lcd
from methods.salt import predict as predict_salt
from overview import summarise_run
from pipeline.config.config import Clipr, load_config
from pipeline.config.interactions import Thresholds
from pipeline.effects import read_effects
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv
from predictions import (
    list_combinations,
    measure_predictions,
    predict_combinations,
    sample_combinations,
    summarise_predictions,
)
from screen import (
    differential_expression,
    filter_screen,
    import_screen,
    simulate_screen,
    summarise_perturbations,
)
from tests.workflow.test_rules import rules_of
from tuning import choose_settings, collect_winners, write_settings

FIT = "<fold>/<method>/<variant>/"
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
SETTINGS = {
    "prior": {
        "hidden": 4, "output_hidden": 4, "blocks": 1, "output_blocks": 1, "steps": 2,
        "warmup_steps": 0, "batch_cells": 4, "monte_carlo_states": 4, "latent_dimensions": 4,
    },
    "states": {"transform": "log_rate"},
    "drift": {
        "hidden": 4, "embedding_dimensions": 2, "time_dimensions": 2, "noise_levels": 3,
        "samples": 10, "steps": 2, "batch_states": 8,
    },
    "sampling": {"preset": "custom", "step_size": 1.0, "steps_per_level": 1},
}  # fmt: skip


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
        indirect=at("simulation/indirect.tsv"),
        perturbed=at("simulation/targets.tsv"),
        modules=at("simulation/modules.gmt"),
        pathways=at("simulation/pathways.gmt"),
        network="modules",
        genes=36,
        targets=3,
        targets_from="regulators",
        doubles=3,
        cells_per_condition=8,
        control_cells=12,
        kind="activation",
        failed_share=0.0,
        confounding=0.0,
        depth=1.0,
        dominant_gene=None,
        seed=1,
    )
    first = ad.read_h5ad(at("simulation/screen.h5ad")).obs["perturbation"].iloc[-1].split("+")[0]
    Path(at("screen/table.txt")).write_text(f"target\tgene\n{first}\tSOMETHING\n")
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
        drop_labels=[],
        gene_symbols=None,
        target_genes=at("screen/table.txt"),
    )
    filter_screen.main(
        screen=at("screen/imported.h5ad"),
        filtered=at("screen/filtered.h5ad"),
        table=at("screen/quality_control.tsv"),
        conditions=at("screen/conditions.tsv"),
        removed_genes=at("screen/removed_genes.tsv"),
        min_cells_per_gene=1,
        min_genes_per_cell=1,
        min_cells_per_perturbation=2,
        mitochondrial_prefix="MT-",
        max_mitochondrial_percent=None,
        min_counts=1,
        max_counts=None,
        min_genes=None,
        max_genes=None,
        size_factors="median_ratio",
        dominant_percent=20.0,
    )
    make_folds.main(
        conditions=at("screen/conditions.tsv"),
        folds=at("folds/folds.tsv"),
        names=["1"],
        tuning_name="tuning",
        tuning_doubles=0,
        unmeasured_singles="test",
        max_test_doubles=2,
        fewest_cells=2,
        means_of_combinations=[],
        seed=1,
    )
    tests = at("screen/differential_expression.h5ad")
    differential_expression.main(screen=at("screen/filtered.h5ad"), tests=tests, n_threads=1)
    summarise_perturbations.main(
        tests=tests,
        removed_genes=at("screen/removed_genes.tsv"),
        perturbations=at("screen/perturbations.tsv"),
        targets=at("screen/targets.tsv"),
        alpha=0.05,
    )
    data = fold / "data"
    train, test = at("train.h5ad", data), at("test.h5ad", data)
    names, held_out = (
        at("test_perturbations.txt", data),
        at("test_differential_expression.tsv", data),
    )
    select_genes.main(
        screen=at("screen/filtered.h5ad"),
        tests=tests,
        folds=at("folds/folds.tsv"),
        genes=at("genes.tsv", data),
        markers=at("markers.tsv", data),
        differential_expression=at("differential_expression.tsv", data),
        test_differential_expression=held_out,
        train=train,
        test=test,
        test_perturbations=names,
        fold="1",
        n_genes=12,
        markers_per_perturbation=2,
        module_markers=[],
        held_out_folds=0,
        gives_effects=False,
        module_number=1,
        compared_genes=1,
    )

    lcd = fold / "lcd" / "default"
    settings = at("settings/lcd/default/fit_prior.json")
    write_settings.main(settings=settings, values=SETTINGS)
    prior, model = at("prior/prior.safetensors", lcd), at("model/model.safetensors", lcd)
    job = {"seed": 1, "device": "cpu"}
    unsaved = {"checkpoint": str(root / "checkpoint"), "checkpoint_interval": 1e9, "code": ""}
    log = at("prior/log.tsv", lcd)
    fit_prior.main(train=train, settings=settings, prior=prior, training_log=log, **job, **unsaved)
    fit_drift.main(
        train=train,
        prior=prior,
        test_perturbations=names,
        settings=settings,
        model=model,
        training_log=at("model/log.tsv", lcd),
        **job,
        **unsaved,
    )
    check_fits.main(
        train=train,
        differential_expression=at("differential_expression.tsv", data),
        prior=prior,
        model=model,
        settings=settings,
        table=at("checks/training_conditions.tsv", lcd),
        gene_table=at("checks/genes.tsv", lcd),
        state_table=at("checks/states.tsv", lcd),
        check_cells=4,
        top_genes=3,
        **job,
    )

    rest = {"test_perturbations": names, "n_cells": 4, "seed": 1}
    for variant, keep in (("default", "cells"), ("profiles", "profiles")):
        prediction = at("prediction.h5ad", fold / "salt" / variant)
        predict_salt.main(train=train, prediction=prediction, keep=keep, **rest)
    ceiling = at("prediction.h5ad", fold / "ceiling" / "default")
    predict_ceiling.main(
        train=train, test=test, test_perturbations=names, prediction=ceiling, keep="cells"
    )
    prediction = at("prediction.h5ad", lcd)
    predict_lcd.main(
        model=model, settings=settings, prediction=prediction, keep="cells", device="cpu", **rest
    )
    scored = [fold / method / "default" for method in ("lcd", "salt")]
    tables = [at("metrics.tsv", own) for own in scored]
    compute_metrics.main(
        train=train,
        test=test,
        test_perturbations=names,
        predictions=[at("prediction.h5ad", own) for own in scored],
        test_differential_expression=held_out,
        metrics_tables=tables,
        metrics=["mmd_top_de"],
        top_genes=3,
        components=2,
        cells="equal",
        splits=2,
        max_cells=None,
        methods=["lcd", "salt"],
        values=[None, None],
        fold="1",
        seed=1,
    )
    aggregate_metrics.main(
        tables=tables,
        metrics=at("benchmark/metrics.tsv"),
        summary=at("benchmark/summary.tsv"),
        win_rates=at("benchmark/win_rates.tsv"),
        calibration=at("benchmark/calibration.tsv"),
        folds=["1"],
        reference="lcd",
        no_methods=["ceiling"],
        duplicates=["ceiling"],
        negatives=["control"],
        bootstrap=100,
        seed=1,
    )
    interactions = at("interactions.tsv", fold)
    measure_interactions.main(
        train=train,
        test=test,
        test_perturbations=names,
        predictions=[at("prediction.h5ad", fold / "salt" / "default")],
        interactions=interactions,
        methods=["salt"],
        values=[None],
        fold="1",
        min_count=0.0,
        scale="none",
    )
    written = ("observed", "predicted", "thresholds", "by_type", "confusion")
    aggregate_interactions.main(
        tables=[interactions],
        metrics=at("benchmark/metrics.tsv"),
        **{name: at(f"interactions/{name}.tsv") for name in written},
        published=Thresholds().model_dump(),
        metric="mmd_top_de",
        reference="lcd",
        versus="salt",
    )
    choose_settings.main(
        metrics_tables=tables[:1],
        points=[{"drift.steps": 2}],
        values=[SETTINGS],
        metric="mmd_top_de",
        method="lcd",
        ranking=at("tuning/lcd.tsv"),
        winner=at("tuning/lcd.json"),
    )
    summarise_fits.main(
        tables=[at("checks/training_conditions.tsv", lcd)],
        screen_conditions=at("screen/conditions.tsv"),
        conditions=at("fits/conditions.tsv"),
        conditions_page=at("fits/conditions.html"),
        folds=["1"],
        variants=["default"],
    )
    summarise_run.main(
        overview=at("overview/overview.tsv"),
        asked={"analyses": ["linear_systems"], "systems": 1},
        looks={},
        reference="",
        versus="",
        alpha=0.05,
        fits=at("fits/conditions.tsv"),
    )
    collect_winners.main(rankings=[at("tuning/lcd.tsv")], winners=at("tuning/winners.tsv"))
    write_effects(root, train, prior, model)
    write_predictions(root / "predictions", train, model)
    write_linear_system(root / "linear_systems", "erdos_renyi_d6_p50_s1")
    return root


def write_effects(root: Path, train: str, prior: str, model: str) -> None:
    """Files of the causal effects, from the model of one fold."""

    def at(name: str, below: str = "effects") -> str:
        (root / below / name).parent.mkdir(parents=True, exist_ok=True)
        return str(root / below / name)

    ensemble = at("ensemble.h5ad")
    de = at("differential_expression.tsv", "folds/1/data")
    fit = at("effects.h5ad", "folds/1/lcd/default/effects")
    estimate_effects.main(
        train=train,
        prior=prior,
        model=model,
        effects=fit,
        responses=at("responses.h5ad", "folds/1/lcd/default/effects"),
        table=at("responses.tsv", "folds/1/lcd/default/effects"),
        clipr=Clipr(exclude_unconverged=False).model_dump(),
        estimator="adaptive_rows",
        changes="counts",
        samples=4,
        draws=2,
        seed=1,
        device="cpu",
    )
    combine_effects.main(fits=[fit, fit], ensemble=ensemble)
    modules = at("modules.tsv")
    find_modules.main(
        markers=[],
        height=None,
        effects=ensemble,
        seed_effects=[fit, fit],
        numbers=at("module_numbers.tsv"),
        tree=at("tree.tsv"),
        order=at("order.tsv"),
        membership=modules,
        distance="changes",
        cut="number",
        number=2,
        min_size=2,
    )
    check_gene_sets.main(
        genes=modules, gene_sets=[at("modules.gmt", "simulation")], table=at("gene_sets.tsv")
    )
    enrich_modules.main(
        alpha=0.01,
        top=5,
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
        untestable_edges=at("untestable_edges.tsv"),
        graphml=at("network.graphml"),
        k=5,
    )
    causes, held_out = at("held_out/causes.tsv"), at("held_out/effects.h5ad")
    choose_held_out_causes.main(effects=ensemble, causes=causes, k=20, folds=["1"], seed=1)
    unseen = read_effects(fit)
    unseen.obs["perturbed"] = False
    write_h5ad(unseen, root / "unseen.h5ad")
    assemble_held_out_effects.main(
        causes=causes, fits=[str(root / "unseen.h5ad")], effects=held_out, folds=["1"]
    )
    (root / "unseen.h5ad").unlink()
    for matrix, folder in ((ensemble, "effects"), (held_out, "effects/held_out")):
        validate_edges.main(
            alpha=0.05,
            targets=str(root / "screen" / "targets.tsv"),
            leave_out_failed=False,
            n_listed=10,
            n_resamples=20,
            effects=matrix,
            differential_expression=de,
            edges=at("validated_edges.tsv", folder),
            validation=at("validation.tsv", folder),
            fractions=[1.0],
            seed=1,
        )
    score_recovery.main(
        top=[1, 2],
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
        distance="changes",
    )


def write_predictions(folder: Path, train: str, model: str) -> None:
    """Files of a panel of two combinations, from the model of one fold."""

    def at(name: str) -> str:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return str(folder / name)

    panel, genes = at("combinations.tsv"), at("genes.tsv")
    list_combinations.main(
        train=train,
        combinations=panel,
        genes=genes,
        named=(),
        cells_of=(),
        targets=(),
        up_to=2,
        all_pairs=True,
        max_combinations=10,
        parts=1,
        wanted_condition=next(iter(ad.read_h5ad(train).obs["perturbation"].unique()[1:])),
        interaction_genes=5,
        min_count=0.0,
        scale="none",
        where="x",
    )
    for part in ("references", "1"):
        predict_combinations.main(
            combinations=panel,
            model=model,
            profiles=at(f"parts/default/{part}.h5ad"),
            part=part,
            n_states=4,
            sampler="flow",
            seed=1,
            device="cpu",
        )
    references, part = at("parts/default/references.h5ad"), at("parts/default/1.h5ad")
    measures = at("parts/default/1.tsv")
    measure_predictions.main(profiles=part, references=references, genes=genes, measures=measures)
    summarise_predictions.main(
        combinations=panel,
        genes=genes,
        references=[references],
        profiles=[part],
        measures=[measures],
        predictions=at("predictions.tsv"),
        mean_profiles=at("profiles.h5ad"),
        top=at("top_genes.tsv"),
        candidates=at("next.tsv"),
        thresholds=at("thresholds.tsv"),
        published=Thresholds().model_dump(),
        n_fits=1,
        n_states=4,
        nearest_by="cosine",
        top_genes=2,
        listed=2,
    )
    sample_combinations.main(
        combinations=panel,
        model=model,
        cells=at("cells.h5ad"),
        named=read_tsv(panel)["perturbation"].tolist()[-1:],
        n_cells=2,
        sampler="fast",
        seed=1,
        device="cpu",
    )


def write_linear_system(folder: Path, system: str) -> None:
    """Files of one linear system, and the tables over all."""

    def at(name: str) -> str:
        return str(folder / system / name)

    make_linear_system.main(
        system=at("system.safetensors"),
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
        model=at("model.safetensors"),
        training_log=at("log.tsv"),
        settings={
            "hidden": 4,
            "embedding_dimensions": 2,
            "time_dimensions": 2,
            "noise_levels": 3,
            "steps": 2,
            "batch_states": 8,
        },
        scaling="covariance",
        seed=1,
        device="cpu",
        checkpoint=at("checkpoint"),
        checkpoint_interval=300.0,
        code="",
    )
    score_linear_system.main(
        system=at("system.safetensors"),
        model=at("model.safetensors"),
        scores=at("scores.tsv"),
        responses=at("responses.tsv"),
        effects=at("effects.safetensors"),
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
    system = "<structure>_d<genes>_p<percent>_s<system>/"
    name = name.replace("erdos_renyi_d6_p50_s1/", system)
    name = re.sub("(?<=<fold>/lcd/)(default|effects)/", "<variant>/", name)
    name = re.sub(
        r"<fold>/\w+/\S+/(prediction.h5ad|metrics.tsv)", r"<fold>/<method>/<variant>/\1", name
    )
    name = re.sub(r"settings/\w+/\w+/\w+", "settings/<method>/<variant>/<program>", name)
    name = re.sub(r"parts/default/(references|1)\.", "parts/<variant>/<part>.", name)
    name = re.sub(r"tuning/lcd\.", "tuning/<method>.", name)
    if system + "model." in name or system + "log." in name:
        name = f"folds/<fold>/lcd/<variant>/model/{Path(name).name}"  # described there for both
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
    common = re.findall(r"^- `(\w+)`", sections()["*.safetensors"], flags=re.M)
    paths = sorted(results.rglob("*.safetensors"))
    assert len(paths) == 5
    for path in paths:
        body = section_of(path, results)
        with safe_open(path, framework="np") as weights:
            metadata = json.loads(weights.metadata()["lcd_core"])
            described = re.findall(r"^- `(\w+)`", body, flags=re.M)
            assert common + described == list(metadata), path
            names = {re.sub(r"^drift\..*", "drift.*", name) for name in weights.keys()}  # noqa: SIM118
        assert not [name for name in names if f"`{name}`" not in body], path


def test_every_output_of_a_rule_is_described() -> None:
    prefix = "results/everything/"
    declared = {
        output.removeprefix(prefix)
        for rule in rules_of("everything")
        for outputs in rule["outputs"].values()
        for output in outputs.split()  # an output can be several files
        if output.startswith(prefix)
    }
    assert len(declared) >= 50
    names = {re.sub(r"\{(\w+)[^}]*\}", r"<\1>", name) for name in declared}
    names = {re.sub(r"<fold>/\w+/[^/]+/prediction", FIT + "prediction", name) for name in names}
    names = {re.sub("folds(/[^/]+){3}/metrics", f"folds/{FIT}metrics", name) for name in names}
    names = {re.sub("settings/<method>/[^/]+/", "settings/<method>/<variant>/", n) for n in names}
    missing = names - set(sections())
    assert not missing


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


def readme_block(language: str, number: int = 0, file: str = "lcd_core/README.md") -> str:
    """An example in a language."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)[number]


def test_readme_example_samples_three_targets(results: Path) -> None:
    code = readme_block("python", 1)
    path = "results/default/folds/1/lcd/default/model/model.safetensors"
    assert path in code
    names: dict[str, object] = {}
    exec(code.replace(path, str(results / "folds/1/lcd/default/model/model.safetensors")), names)
    assert names["counts"].shape == (1000, 12)


def test_readme_example_fits_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(readme_block("python"), names)
    cells, means = names["cells"].double().mean(dim=0), names["means"]
    assert names["cells"].shape == (500, 3)
    assert cells[0] < means["control"][0] - 2
    assert cells[1] > means["control"][1] + 2
    assert cells[2] > means["control"][2] + 2


def test_readme_configuration_is_accepted() -> None:
    config = load_config(yaml.safe_load(readme_block("yaml", file="README.md")), "README.md")
    assert config.run == "mine"
