"""The configuration: shipped files, defaults, messages for mistakes, generated documentation."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from snakemake.cli import parse_config

from evaluation.registry import METRICS
from lcd_core.errors import InputError
from lcd_core.settings import (
    PRESETS,
    DriftSettings,
    LinearisationSettings,
    PriorSettings,
    SamplerSettings,
    Settings,
    StateSettings,
)
from methods.lcd.method import FAST
from pipeline.config.config import Config, load_config
from pipeline.config.document import documented, main, own_keys, schema_text, sections
from pipeline.config.methods import Plain
from pipeline.plan import Fit, Plan
from simulation.linear_systems import MODEL_SIGMA, STRUCTURES

FOLDER = Path(__file__).parents[2] / "config"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def choices(section: str, key: str) -> list[str]:
    schema = own_keys(sections()[section])[key]
    return schema["enum"] if "enum" in schema else schema["items"]["enum"]


def message_for(mapping: Any) -> str:
    with pytest.raises(InputError) as caught:
        Plan(load_config(mapping, "some.yaml"), "some.yaml")
    return str(caught.value)


def lcd(**sections: Any) -> dict[str, Any]:
    """Configuration with settings of LCD."""
    return {"methods": {"lcd": sections}}


class TestShippedFiles:
    @pytest.mark.parametrize("name", FILES)
    def test_is_valid(self, name: str) -> None:
        Plan(load_config(read(name), name), name)

    @pytest.mark.parametrize("name", FILES)
    def test_agrees_with_the_json_schema(self, name: str) -> None:
        schema = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(read(name), schema)

    def test_runs_do_not_share_a_folder(self) -> None:
        runs = [read(name)["run"] for name in FILES]
        assert len(set(runs)) == len(runs)

    @pytest.mark.parametrize(
        ("name", "hidden", "weight_decay", "temperature", "prior_steps"),
        [("norman.yaml", 1024, 0.3, 20, 250_000), ("wessels.yaml", 1024, 1, 100, 100_000)],
    )
    def test_published_settings(
        self, name: str, hidden: int, weight_decay: float, temperature: float, prior_steps: int
    ) -> None:
        config = load_config(read(name), name)
        assert (config.methods.lcd.drift.hidden, config.methods.lcd.drift.weight_decay) == (
            hidden,
            weight_decay,
        )
        assert (config.methods.lcd.prior.temperature, config.methods.lcd.prior.steps) == (
            temperature,
            prior_steps,
        )
        assert (
            config.methods.lcd.prior.batch_cells,
            config.methods.lcd.prior.monte_carlo_states,
        ) == (64, 20_000)
        assert (config.methods.lcd.drift.steps, config.methods.lcd.drift.batch_states) == (
            50_000,
            8_192,
        )
        assert (config.folds.count, config.folds.tuning_doubles) == (10, 20)
        assert (config.genes.count, config.genes.markers_per_perturbation) == (1000, 20)

    def test_published_grid_of_linear_systems(self) -> None:
        config = load_config(read("linear_systems.yaml"), "linear_systems.yaml")
        grid = config.linear_systems
        assert config.analyses == ("linear_systems",)
        assert set(grid.structures) == {"erdos_renyi", "power_law"}
        assert (grid.genes, grid.perturbed_percent) == ((100, 300, 1000), (30, 50, 70, 100))
        assert (grid.systems, grid.samples_per_condition) == (10, 200)
        assert (grid.links_per_gene, grid.strength, grid.flip_probability) == (10, 2, 0.1)
        assert (config.linear_drift.hidden, config.linear_drift.batch_states) == (2048, 8_192)
        assert (config.linear_drift.steps, config.linear_drift.steps_from_1000_genes) == (
            50_000,
            100_000,
        )

    def test_download_names_its_file(self) -> None:
        screen = load_config(read("norman.yaml"), "norman.yaml").screen
        assert screen.download_name == "NormanWeissman2019_filtered.h5ad"
        query = {"kind": "download", "url": "https://host/a/b.h5ad?download=1"}
        assert load_config({"screen": query}, "x").screen.download_name == "b.h5ad"


class TestDefaults:
    def test_an_empty_configuration_is_valid(self) -> None:
        config = load_config({}, "empty.yaml")
        assert config.run == "default"
        assert config.threads.fit == 1
        assert config.methods.lcd.prior.steps == 250_000

    def test_cannot_be_changed_afterwards(self) -> None:
        config = load_config({}, "empty.yaml")
        with pytest.raises(ValidationError, match="frozen"):
            config.methods.lcd.prior.steps = 3

    @pytest.mark.parametrize("name", list(PRESETS))
    def test_preset_fills_in_the_sampler(self, name: str) -> None:
        sampling = load_config(lcd(sampling={"preset": name}), "x").methods.lcd.sampling
        meant = PRESETS[name]
        assert (sampling.step_size, sampling.steps_per_level, sampling.scheme) == (
            meant.step_size, meant.steps_per_level, meant.scheme
        )  # fmt: skip

    def test_preset_of_a_variant_fills_in_its_sampler(self) -> None:
        variants = {"quick": {"sampling": {"preset": "fast"}}}
        plan = Plan(load_config(lcd(sampling={"preset": "fine"}, variants=variants), "x"), "x")
        found = {
            name: plan.settings("lcd", name, plan.methods["lcd"].program("predict"))["sampling"]
            for name in ("default", "quick")
        }
        for name, preset in (("default", "fine"), ("quick", "fast")):
            assert found[name]["steps_per_level"] == PRESETS[preset].steps_per_level
            assert found[name]["step_size"] == PRESETS[preset].step_size
            assert found[name]["scheme"] == PRESETS[preset].scheme

    def test_variant_may_take_back_a_custom_sampler(self) -> None:
        own = {"preset": "custom", "step_size": 0.2, "steps_per_level": 30}
        back = {"preset": "fast", "step_size": None, "steps_per_level": None}
        variants = {"v": {"sampling": back}, "w": {"sampling": {"steps_per_level": 40}}}
        plan = Plan(load_config(lcd(sampling=own, variants=variants), "x"), "x")
        program = plan.methods["lcd"].program("predict")
        steps = {n: plan.settings("lcd", n, program)["sampling"] for n in ("default", "v", "w")}
        assert [own["steps_per_level"] for own in steps.values()] == [30, 5, 40]
        assert [own["step_size"] for own in steps.values()] == [0.2, 1.8, 0.2]

    def test_what_is_given_reads_back_to_the_same_variants(self) -> None:
        variants = {"v": {"preset": "paper"}, "w": {"sampling": {"preset": "fine"}}}
        config = load_config(lcd(preset="fast", variants=variants), "x")
        again = load_config(config.model_dump(exclude_unset=True), "x")
        plans = Plan(config, "x"), Plan(again, "x")
        for name in ("default", "v", "w"):
            for program in plans[0].methods["lcd"].programs:
                first, second = (plan.settings("lcd", name, program) for plan in plans)
                assert first == second
        prior = plans[1].settings("lcd", "v", plans[1].methods["lcd"].program("fit_prior"))
        assert prior["prior"]["steps"] == 250_000

    @pytest.mark.parametrize("preset", ["paper", "fast"])
    def test_keys_that_are_given_win_over_the_preset_of_fits(self, preset: str) -> None:
        given = {"steps": 6000, "warmup_steps": 60}
        own = load_config(lcd(preset=preset, prior=given), "x").methods.lcd
        published = load_config({}, "x").methods.lcd
        assert (own.prior.steps, own.prior.warmup_steps) == (6000, 60)
        for section in ("prior", "drift"):
            values = getattr(own, section).model_dump()
            expected = getattr(published, section).model_dump()
            expected |= FAST[section] if preset == "fast" else {}
            expected |= given if section == "prior" else {}
            assert values == expected

    def test_variant_may_name_another_preset_of_fits(self) -> None:
        variants = {
            "published": {"preset": "paper"},
            "wide": {"drift": {"hidden": 300}},
            "short": {"preset": "fast", "prior": {"steps": 500}},
        }
        config = load_config(lcd(preset="fast", drift={"steps": 70}, variants=variants), "x")
        plan = Plan(config, "x")

        def fits(name: str) -> tuple[Any, ...]:
            prior, drift = (
                plan.settings("lcd", name, plan.methods["lcd"].program(program))[section]
                for program, section in (("fit_prior", "prior"), ("fit_drift", "drift"))
            )
            return prior["steps"], prior["start"], drift["hidden"], drift["steps"]

        assert fits("default") == (3000, "counts", 256, 70)
        assert fits("published") == (250_000, "random", 2048, 70)
        assert fits("wide") == (3000, "counts", 300, 70)
        assert fits("short") == (500, "counts", 256, 70)

    def test_preset_and_a_key_that_do_not_fit_together_are_refused(self) -> None:
        message = message_for(lcd(preset="fast", prior={"steps": 100}))
        assert "methods.lcd.prior.warmup_steps" in message
        assert "warmup_steps 200, steps 100" in message

    def test_custom_preset_is_taken_as_given(self) -> None:
        given = {"preset": "custom", "step_size": 0.5, "steps_per_level": 7}
        sampling = load_config(lcd(sampling=given), "x").methods.lcd.sampling
        assert (sampling.step_size, sampling.steps_per_level) == (0.5, 7)

    def test_complete_configuration_reads_back(self) -> None:
        config = load_config(
            lcd(sampling={"preset": "released"}) | {"screen": {"keep": {"a": 1}}}, "x"
        )
        assert load_config(config.model_dump(), "x") == config

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"confident": True}, {"confident": (True,)}),
            ({"b": ["x", "y"], "a": 1}, {"a": (1,), "b": ("x", "y")}),
        ],
    )
    def test_kept_columns_are_sorted(self, columns: Any, expected: Any) -> None:
        keep = load_config({"screen": {"keep": columns}}, "x").screen.keep
        assert keep == expected
        assert list(keep) == list(expected)
        assert type(next(iter(keep.values()))[0]) is type(next(iter(expected.values()))[0])

    @given(st.integers(1, 99), st.integers(-8, -1), st.sampled_from("eE"))
    def test_scientific_notation_of_yaml_is_a_number(self, m: int, e: int, letter: str) -> None:
        text = f"{m}{letter}{e}"
        assert isinstance(yaml.safe_load(text), str)
        config = load_config(lcd(drift={"learning_rate": yaml.safe_load(text)}), "x")
        assert config.methods.lcd.drift.learning_rate == float(text)

    def test_command_line_values_are_read_as_snakemake_passes_them(self) -> None:
        """Snakemake's parser leaves numbers inside a nested value as text."""
        given = parse_config(
            [
                "run=second",
                "seed=2",
                "folds={count: 2, max_test_doubles: null}",
                "methods={lcd: {prior: {learning_rate: 1e-3, steps: 6000}, "
                "sampling: {preset: custom, step_size: 0.5, steps_per_level: 7}}}",
                "prediction={methods: [lcd, control]}",
                "interactions={measure: false}",
            ]
        )
        assert given["folds"]["count"] == "2"
        config = load_config(given, "x")
        assert (config.run, config.seed) == ("second", 2)
        assert config.interactions.measure is False
        own = load_config(parse_config(["methods={cpa: {run: true}, gears: {run: null}}"]), "x")
        assert (own.methods.cpa.run, own.methods.gears.run) == (True, None)
        assert (config.folds.count, config.folds.max_test_doubles) == (2, None)
        assert (config.methods.lcd.prior.learning_rate, config.methods.lcd.prior.steps) == (
            0.001,
            6000,
        )
        own = config.methods.lcd.sampling
        assert (own.step_size, own.steps_per_level) == (0.5, 7)
        assert config.prediction.methods == ("lcd", "control")

    @pytest.mark.parametrize("text", ["1_000", "0x10", "1.5", " 2", "two", "", "nan", "1e3", "٣"])
    def test_other_text_is_no_integer(self, text: str) -> None:
        assert "folds.count" in message_for({"folds": {"count": text}})


class TestAgreementWithTheMethod:
    def test_choices(self) -> None:
        assert set(choices("methods.lcd.drift", "parameterization")) == {"plain", "linear_pull"}
        assert set(choices("methods.lcd.drift", "conditions_per_batch")) == {"single", "mixed"}
        assert set(choices("methods.lcd.drift", "levels_per_batch")) == {"single", "mixed"}
        transforms = {"identity", "log_rate", "expression"}
        assert set(choices("methods.lcd.states", "transform")) == transforms
        assert choices("evaluation", "metrics") == list(METRICS)

    def test_linear_systems(self) -> None:
        assert set(choices("linear_systems", "structures")) == set(STRUCTURES)
        assert load_config({}, "x").linear_systems.sigma == MODEL_SIGMA
        given = {"linear_systems": {"genes": ["300", "100"]}}  # as the command line gives them
        assert load_config(given, "x").linear_systems.genes == (100, 300)

    @pytest.mark.parametrize(
        "settings",
        [PriorSettings, StateSettings, DriftSettings, SamplerSettings, LinearisationSettings],
    )
    def test_sections_hold_the_settings_of_the_method(self, settings: type[Settings]) -> None:
        everything = load_config({}, "x").model_dump()
        section = (everything | everything["methods"]["lcd"])[settings.section]
        section.pop("preset", None)
        assert settings(**section) == settings()
        assert list(section) == [own.name for own in dataclasses.fields(settings)]

    def test_the_schema_needs_no_torch(self) -> None:
        code = "import sys; import pipeline.plan; sys.exit('torch' in sys.modules)"
        folder = FOLDER.parent
        paths = os.pathsep.join(str(folder / base) for base in ("", "workflow/scripts", "workflow"))
        environment = {**os.environ, "PYTHONPATH": paths}
        assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0

    def test_sampler_presets(self) -> None:
        assert set(choices("methods.lcd.sampling", "preset")) == {*PRESETS, "custom"}


MISTAKES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # what is wrong: (configuration, place, found, part of the remedy)
    "misspelt section": ({"tunign": {}}, "tunign", "{}", "did you mean tuning?"),
    "misspelt key": (
        lcd(prior={"stpes": 3}),
        "methods.lcd.prior.stpes",
        "3",
        "did you mean methods.lcd.prior.steps?",
    ),
    "section of a method at the top": ({"prior": {}}, "prior", "{}", "mean methods.lcd.prior?"),
    "key of a section at the top": (
        {"weight_decay": 1},
        "weight_decay",
        "1",
        "or methods.lcd.drift.weight_decay or linear_drift.weight_decay?",
    ),
    "key in a wrong section": (
        lcd(drift={"temperature": 5}),
        "methods.lcd.drift.temperature",
        "5",
        "did you mean methods.lcd.prior.temperature?",
    ),
    "unlike any key": ({"folds": {"zzz": 1}}, "folds.zzz", "1", "count, tuning_doubles"),
    "text for an integer": (
        lcd(prior={"steps": "many"}),
        "methods.lcd.prior.steps",
        "'many'",
        "integer",
    ),
    "true for an integer": ({"seed": True}, "seed", "True", "integer"),
    "fraction for an integer": (
        lcd(prior={"blocks": 1.5}),
        "methods.lcd.prior.blocks",
        "1.5",
        "integer",
    ),
    "number for a name": ({"run": 2024}, "run", "2024", "quote"),
    "path for a name": ({"run": "../x"}, "run", "'../x'", "A-Za-z0-9"),
    "negative rate": (
        lcd(drift={"learning_rate": -1}),
        "methods.lcd.drift.learning_rate",
        "-1",
        "above 0",
    ),
    "infinite rate": (
        lcd(drift={"learning_rate": float("inf")}),
        "methods.lcd.drift.learning_rate",
        "inf",
        "number",
    ),
    "no threads": ({"threads": {"fit": 0}}, "threads.fit", "0", "at least 1"),
    "unknown choice": (
        lcd(states={"transform": "logrates"}),
        "methods.lcd.states.transform",
        "'logrates'",
        "did you mean log_rate?",
    ),
    "unknown method": (
        {"prediction": {"methods": ["lcd", "slat"]}},
        "prediction.methods",
        "slat",
        "did you mean salt?",
    ),
    "repeated metric": (
        {"evaluation": {"metrics": ["mmd_all", "mmd_all"]}},
        "evaluation.metrics",
        "mmd_all",
        "list of",
    ),
    "text for a list": ({"screen": {"separator": "+"}}, "screen.separator", "'+'", "list of text"),
    "empty separator": ({"screen": {"separator": [""]}}, "screen.separator", "['']", "list"),
    "section without keys": ({"folds": None}, "folds", "None", "give at least one of its keys"),
    "value for a section": ({"folds": 3}, "folds", "3", "count, tuning_doubles"),
    "null in keep": ({"screen": {"keep": {"a": None}}}, "screen.keep", "a: None", "mapping"),
    "file without a path": ({"screen": {"kind": "file"}}, "screen.path", "null", "screen.path"),
    "download without an address": (
        {"screen": {"kind": "download"}},
        "screen.url",
        "null",
        "screen.url",
    ),
    "address without a file": (
        {"screen": {"kind": "download", "url": "https://host/x/"}},
        "screen.url",
        "'https://host/x/'",
        "http",
    ),
    "checksum that is none": (
        {"screen": {"kind": "download", "url": "https://h/a.h5ad", "md5": "abc"}},
        "screen.md5",
        "'abc'",
        "{32}",
    ),
    "path for a simulation": (
        {"screen": {"path": "a.h5ad"}},
        "screen.path",
        "a.h5ad with kind simulated",
        "screen.kind: file",
    ),
    "no control label": ({"screen": {"control_label": []}}, "screen.control_label", "[]", "text"),
    "a number for a label": (
        {"screen": {"control_label": 0}},
        "screen.control_label",
        "0",
        "quote a number",
    ),
    "control repeated": (
        {"screen": {"control_label": ["NT", "NT"]}},
        "screen.control_label",
        "NT",
        "list of",
    ),
    "control dropped": (
        {"screen": {"control_label": ["NT", "ctrl"], "drop_labels": ["ctrl", "x"]}},
        "screen.drop_labels",
        "ctrl",
        "one of the three",
    ),
    "control ignored": (
        {"screen": {"ignore_labels": ["control"]}},
        "screen.ignore_labels",
        "control",
        "control_label",
    ),
    "more targets than genes": (
        {"simulation": {"targets": 81}},
        "simulation.targets",
        "81 targets, 80 genes",
        "simulation.genes",
    ),
    "more doubles than pairs": (
        {"simulation": {"targets": 4, "doubles": 7}},
        "simulation.doubles",
        "7 doubles",
        "at most 6",
    ),
    "a cut without its setting": (
        {"modules": {"cut": "number"}},
        "modules.number",
        "null",
        "another modules.cut",
    ),
    "a benchmark without folds": (
        {"folds": {"count": 0}},
        "folds.count",
        "0",
        "leave `benchmark` out",
    ),
    "a fraction of nothing": (
        {"effects": {"top_fractions": [0.1, 0.0]}},
        "effects.top_fractions[1]",
        "0.0",
        "",
    ),
    "counts that exclude each other": (
        {"quality_control": {"min_counts": 10, "max_counts": 9}},
        "quality_control.min_counts",
        "min_counts 10, max_counts 9",
        "max_counts",
    ),
    "fewer doubles than folds": (
        {"simulation": {"doubles": 9}},
        "simulation.doubles",
        "9 doubles, 10 folds",
        "at least 10",
    ),
    "fewer test doubles than folds": (
        {"folds": {"max_test_doubles": 4}},
        "folds.max_test_doubles",
        "4 doubles, 10 folds",
        "folds.count",
    ),
    "odd number of tuning doubles": (
        {"folds": {"tuning_doubles": 1}},
        "folds.tuning_doubles",
        "1",
        "a multiple of 2",
    ),
    "endless warm-up": (
        lcd(prior={"steps": 5000}),
        "methods.lcd.prior.warmup_steps",
        "warmup_steps 5000, steps 5000",
        "prior.steps",
    ),
    "noise levels upside down": (
        lcd(drift={"alpha_min": 2, "alpha_max": 1}),
        "methods.lcd.drift.alpha_min",
        "alpha_min 2, alpha_max 1",
        "drift.alpha_max",
    ),
    "preset and another value": (
        lcd(sampling={"preset": "released", "step_size": 1.0}),
        "methods.lcd.sampling.step_size",
        "1.0",
        "sampling.preset: custom",
    ),
    "preset and another scheme": (
        lcd(sampling={"preset": "released", "scheme": "leimkuhler_matthews"}),
        "methods.lcd.sampling.scheme",
        "leimkuhler_matthews",
        "sampling.preset: custom",
    ),
    "custom without values": (
        lcd(sampling={"preset": "custom", "step_size": 1.0}),
        "methods.lcd.sampling.steps_per_level",
        "not given",
        "sampling.steps_per_level",
    ),
    "upside down in the section of the linear systems": (
        {"linear_drift": {"alpha_min": 2, "alpha_max": 1}},
        "linear_drift.alpha_min",
        "alpha_min 2, alpha_max 1",
        "linear_drift.alpha_max",
    ),
    "a method that does not exist": (
        {"methods": {"slat": {}}},
        "methods.slat",
        "{}",
        "did you mean salt?",
    ),
    "a method in capitals": (
        {"methods": {"CPA": {"run": True}}},
        "methods.CPA",
        "{'run': True}",
        "did you mean cpa?",
    ),
    "a prediction without a name": (
        {"methods": {"a/b": {"predictions": "x.h5ad"}}},
        "methods.a/b",
        "a/b",
        "letters",
    ),
    "a prediction with a method's settings": (
        {"methods": {"mine": {"predictions": "x.h5ad", "factor": 1}}},
        "methods.mine.factor",
        "1",
        "predictions",
    ),
    "settings of a method without any": (
        {"methods": {"salt": {"factor": 1}}},
        "methods.salt.factor",
        "1",
        "remove it",
    ),
    "a variant with an unknown key": (
        lcd(variants={"wide": {"drift": {"hiden": 9}}}),
        "methods.lcd.variants.wide.drift.hiden",
        "9",
        "did you mean drift.hidden?",
    ),
    "a variant whose settings contradict each other": (
        lcd(variants={"short": {"prior": {"steps": 9}}}),
        "methods.lcd.variants.short.prior.warmup_steps",
        "warmup_steps 5000, steps 9",
        "prior.steps",
    ),
    "a variant with a reserved name": (
        lcd(variants={"tuned": {}}),
        "methods.lcd.variants.tuned",
        "tuned",
        "not default",
    ),
    "a variant that is not defined": (
        {"prediction": {"methods": ["lcd/wide"]}},
        "prediction.methods",
        "wide",
        "methods.lcd.variants.wide",
    ),
    "a variant with a crooked seed": (
        {"prediction": {"methods": ["lcd/default.seed0"]}},
        "prediction.methods",
        "lcd/default.seed0",
        ".seed2",
    ),
    "effects of a variant that is not defined": (
        {"effects": {"variant": "wide"}},
        "effects.variant",
        "wide",
        "methods.lcd.variants.wide",
    ),
    "a reference that does not run": (
        {"prediction": {"methods": ["salt", "control"]}},
        "evaluation.reference",
        "lcd",
        "control, salt",
    ),
    "shown cells of a method that does not run": (
        {"prediction": {"methods": ["lcd", "control"]}, "evaluation": {"shown": ["salt"]}},
        "evaluation.shown",
        "salt",
        "prediction.methods",
    ),
    "tuning without combinations": (
        {"tuning": {"methods": ["lcd"]}},
        "folds.tuning_doubles",
        "0",
        "raise folds.tuning_doubles",
    ),
    "tuning of a method without settings": (
        {"tuning": {"methods": ["salt"]}, "folds": {"tuning_doubles": 2}},
        "tuning.methods",
        "salt",
        "name one of fitted_additive, bilinear,",
    ),
    "tuning by a metric that is not computed": (
        {
            "tuning": {"methods": ["lcd"], "metric": "de_ap"},
            "folds": {"tuning_doubles": 2},
        },
        "tuning.metric",
        "de_ap",
        "evaluation.metrics",
    ),
    "a grid over an unknown key": (
        lcd(grid={"prior.stpes": [1]})
        | {"tuning": {"methods": ["lcd"]}, "folds": {"tuning_doubles": 2}},
        "methods.lcd.grid.prior.stpes",
        "1",
        "did you mean prior.steps?",
    ),
    "a grid over an unknown key of a method that is not tuned": (
        lcd(grid={"drift.hiden": [5]}),
        "methods.lcd.grid.drift.hiden",
        "5",
        "did you mean drift.hidden?",
    ),
    "a grid without keys": (
        lcd(grid={}),
        "methods.lcd.grid",
        "an empty grid",
        "{key: [value, value]}",
    ),
    "a grid without values": (
        lcd(grid={"drift.hidden": [5], "prior.steps": []}),
        "methods.lcd.grid",
        "prior.steps: []",
        "{key: [value, value]}",
    ),
    "a grid with the same point twice": (
        lcd(grid={"drift.hidden": [10, 20, "10"]}),
        "methods.lcd.grid",
        "{'drift.hidden': 10}, {'drift.hidden': '10'}",
        "each value once",
    ),
    "a grid over a section and a key of it": (
        lcd(grid={"drift": [{"hidden": 3}], "drift.hidden": [5]}),
        "methods.lcd.grid",
        "drift.hidden lies within drift",
        "in one of them alone",
    ),
    "more links than genes": (
        {"linear_systems": {"genes": [300, 10]}},
        "linear_systems.links_per_gene",
        "10, 10 genes",
        "linear_systems.genes",
    ),
    "more effects than pairs": (
        {"linear_systems": {"genes": [20]}},
        "linear_systems.top_effects_per_gene",
        "20, 20 genes",
        "at most 19",
    ),
    "nothing perturbed": (
        {"linear_systems": {"genes": [40], "perturbed_percent": [1, 100]}},
        "linear_systems.perturbed_percent",
        "1% of 40 genes",
        "raise",
    ),
    "negative ridge": ({"clipr": {"ridge": -0.1}}, "clipr.ridge", "-0.1", "at least 0"),
    "a name that tables use for something else": (
        {"methods": {"observed": {"predictions": "x_{fold}.h5ad"}}},
        "methods.observed",
        "observed",
        "another name",
    ),
    "a method against itself": (
        {"interactions": {"versus": "lcd"}},
        "interactions.versus",
        "lcd, which is evaluation.reference too",
        "another method",
    ),
    "profiles and metrics of cells": (
        {"prediction": {"keep": "profiles"}, "evaluation": {"metrics": ["mmd_all"]}},
        "evaluation.metrics",
        "mmd_all; prediction.keep: profiles",
        "a metric of means",
    ),
    "profiles of one's own and metrics of cells": (
        {
            "methods": {"mine": {"predictions": "x_{fold}.h5ad", "values": "profile"}},
            "evaluation": {"metrics": ["mmd_all"]},
        },
        "evaluation.metrics",
        "mmd_all; methods.mine.values: profile",
        "a metric of means",
    ),
    "profiles tuned by a metric of cells": (
        {
            "prediction": {"keep": "profiles"},
            "folds": {"tuning_doubles": 2},
            "tuning": {"methods": ["lcd"]},
        },
        "tuning.metric",
        "mmd_top_de, prediction.keep: profiles",
        "a metric of means",
    ),
    "more genes compared than modelled": (
        {"genes": {"count": 10}},
        "evaluation.top_genes",
        "top_genes 20, genes.count 10",
        "genes.count",
    ),
}


class TestPlan:
    def plan(self, **mapping: Any) -> Plan:
        return Plan(load_config(mapping, "x"), "x")

    def test_defaults_run_and_whatever_is_named(self) -> None:
        names = [str(fit) for fit in self.plan().benchmark]
        assert names == [
            "control", "random_perturbed", "perturbed_mean", "mean_combination", "matching_mean",
            "salt", "fitted_additive", "bilinear", "lcd", "interpolated_duplicate", "ceiling",
        ]  # fmt: skip
        mine = {"mine": {"predictions": "x_{fold}.h5ad"}}
        assert [str(fit) for fit in self.plan(methods=mine).benchmark] == [*names, "mine"]

    @pytest.mark.parametrize("name", ["mine/default.seed2", "mine/wide"])
    def test_a_prediction_made_elsewhere_is_one(self, name: str) -> None:
        mine = {"mine": {"predictions": "x_{fold}.h5ad"}}
        with pytest.raises(InputError, match="has no variants and no seeds") as caught:
            self.plan(methods=mine, prediction={"methods": ["lcd", "mine", name]})
        assert name in str(caught.value)
        assert self.plan(methods=mine, prediction={"methods": ["lcd", "mine/default"]})

    def test_a_grid_over_a_section_and_over_another_key_of_it(self) -> None:
        grid = {"drift": [{"hidden": 128}, {"hidden": 256}], "drift.steps": [100, 200]}
        plan = self.plan(
            methods={"lcd": {"grid": grid}}, tuning={"methods": ["lcd"]},
            folds={"tuning_doubles": 2},
        )  # fmt: skip
        assert len(plan.grid_fits("lcd")) == 4

    def test_a_method_without_settings_has_seeds_alone(self) -> None:
        with pytest.raises(InputError, match=r"salt has no settings; .* salt/default\.seed2"):
            self.plan(prediction={"methods": ["lcd", "salt/x"]})
        assert self.plan(prediction={"methods": ["lcd", "salt/default.seed2"]})

    @pytest.mark.parametrize(
        ("own", "place"),
        [
            ({"variants": {"a": {"gene_sets": ["own.gmt"]}}}, r"gears\.variants\.a\.gene_sets"),
            ({"grid": {"gene_sets": [["a.gmt"], ["b.gmt"]]}}, r"gears\.grid\.gene_sets"),
        ],
    )
    @pytest.mark.parametrize("tuned", [[], ["gears"]])
    def test_variants_read_the_same_files(
        self, own: dict[str, Any], place: str, tuned: list[str]
    ) -> None:
        with pytest.raises(InputError, match=f"{place}: all variants of a method read the same"):
            self.plan(
                methods={"gears": own}, tuning={"methods": tuned}, folds={"tuning_doubles": 2}
            )

    def test_a_name_alone_is_what_tuning_chose(self) -> None:
        plan = self.plan(
            tuning={"methods": ["lcd"]},
            folds={"tuning_doubles": 2},
            prediction={"methods": ["lcd", "lcd/default", "lcd/default.seed3"]},
        )
        assert {str(f) for f in plan.benchmark} == {"lcd", "lcd/tuned", "lcd/default.seed3"}
        assert plan.reference == "lcd/tuned"
        assert len(plan.grid_fits("lcd")) == 3 * 2 * 5  # the published grid

    @pytest.mark.parametrize("variant", ["wide.seedx", "wide.seed", "wide.seed0", ".seed2", "1"])
    @pytest.mark.parametrize("place", ["evaluation.reference", "prediction.methods"])
    def test_what_is_no_name_of_a_variant(self, place: str, variant: str) -> None:
        name = f"lcd/{variant}"
        section, _, key = place.partition(".")
        value = ["lcd", name] if key == "methods" else name
        with pytest.raises(InputError, match=f"{place}: this is no name of a variant") as caught:
            self.plan(**{section: {key: value}})
        assert name in str(caught.value)

    def test_names_read_back(self) -> None:
        for name in ("lcd", "lcd/wide", "lcd/default.seed2", "lcd/wide.seed12"):
            assert str(Fit.parse(name)) == name

    def test_variants_that_agree_so_far_share_a_program(self) -> None:
        variants = {"wide": {"drift": {"hidden": 9}}, "hot": {"prior": {"temperature": 9}}}
        plan = self.plan(**lcd(variants=variants))
        method = plan.methods["lcd"]

        def owner(variant: str, program: str) -> str:
            return str(plan.owner(method, Fit.parse(f"lcd/{variant}").variant, program))

        fit_prior, fit_drift = method.program("fit_prior"), method.program("fit_drift")
        assert owner("wide", fit_prior) == "default"
        assert owner("wide.seed2", fit_prior) == "default.seed2"
        assert owner("wide", fit_drift) == "wide"
        # The drift's own settings agree, but it learns from another prior.
        assert owner("hot", fit_prior) == owner("hot", fit_drift) == "hot"

    def test_files_of_a_variant_that_is_not_defined_are_refused(self) -> None:
        plan = self.plan()
        method = plan.methods["lcd"]
        program = method.program("fit_drift")
        for ask in (
            lambda: plan.owner(method, Fit.parse("lcd/wide").variant, program),
            lambda: plan.settings("lcd", "wide", program),
            lambda: plan.owner(plan.methods["salt"], Fit.parse("salt/x").variant, program),
        ):
            with pytest.raises(InputError, match=r"has no such variant"):
                ask()

    def test_settings_are_whole(self) -> None:
        plan = self.plan(**lcd(drift={"steps": 7}, variants={"wide": {"drift": {"hidden": 9}}}))
        own = plan.settings("lcd", "wide", plan.methods["lcd"].program("fit_drift"))
        assert own is not None
        assert list(own) == ["states", "drift"]
        assert (own["drift"]["steps"], own["drift"]["hidden"]) == (7, 9)
        assert own["drift"]["batch_states"] == 8192


class TestMistakes:
    @pytest.mark.parametrize("case", list(MISTAKES))
    def test_one_message_with_place_value_and_remedy(self, case: str) -> None:
        mapping, place, found, remedy = MISTAKES[case]
        first, second, third = message_for(mapping).splitlines()
        assert first.startswith(f"some.yaml, {place}: ")
        assert second.removeprefix("  found:  ").startswith(found)
        assert third.startswith("  remedy: ")
        assert remedy in third

    def test_names_every_mistake_once(self) -> None:
        text = message_for({"seed": "x"} | lcd(drift={"steps": 0, "hiden": 3}))
        assert text.startswith("3 mistakes in some.yaml\n")
        assert text.count("  remedy: ") == 3
        for place in ("seed", "methods.lcd.drift.steps", "methods.lcd.drift.hiden"):
            assert text.count(f"some.yaml, {place}: ") == 1

    @pytest.mark.parametrize("mapping", [None, [], "run: x", 3])
    def test_is_a_mapping(self, mapping: Any) -> None:
        assert "must be a mapping" in message_for(mapping)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_nothing_but_the_one_error(self, data: st.DataObject) -> None:
        """Any content gives a configuration or an InputError, never another exception."""
        leaf = st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-2, 300),
            st.floats(),
            st.sampled_from(["", "lcd", "custom", "released", "single", "1e-3", "+"]),
            st.lists(
                st.one_of(st.integers(), st.sampled_from(["lcd", "+", "mmd_all"])), max_size=3
            ),
        )
        mapping: dict[str, Any] = {}
        names = data.draw(st.lists(st.sampled_from([*Config.model_fields, "other"]), max_size=4))
        for name in names:
            inner = [*sections()[name].model_fields, "other"] if name in sections() else ["other"]
            below = st.dictionaries(st.sampled_from(["prior", "drift", "steps"]), leaf, max_size=2)
            value = st.one_of(leaf, below) if name == "methods" else leaf
            content = st.dictionaries(st.sampled_from(inner), value, max_size=4)
            mapping[name] = data.draw(st.one_of(content, leaf))
        try:
            config = load_config(mapping, "some.yaml")
            Plan(config, "some.yaml")
        except InputError as error:
            message = str(error)
        else:
            message = "some.yaml, remedy: none needed"
            assert load_config(config.model_dump(), "some.yaml") == config
        assert "some.yaml" in message
        assert "remedy: " in message


class TestDocumentation:
    def test_every_key_is_described(self) -> None:
        for section, model in sections().items():
            assert model.__doc__, section
            for name, schema in own_keys(model).items():
                assert schema["description"].endswith("."), f"{section}.{name}"
                assert schema["source"], f"{section}.{name}"
                assert "default" in schema, f"{section}.{name}"

    def test_committed_files_are_up_to_date(self) -> None:
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        assert documented(readme) == readme, "run `make docs`"
        committed = (FOLDER / "schema.json").read_text(encoding="utf-8")
        assert schema_text() == committed, "run `make docs`"

    def test_readme_names_every_key(self) -> None:
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        for section, model in sections().items():
            if not own_keys(model) or model is Plain:  # the key that all methods have stands once
                continue
            part = readme.split(f"### `{section}`\n")[1].split("\n### ")[0]
            for name in own_keys(model):
                assert part.count(f"\n| `{name}` |") == 1, f"{section}.{name}"

    def test_main_mends_an_outdated_table_and_keeps_the_rest(self, tmp_path: Path) -> None:
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        (tmp_path / "README.md").write_text(
            readme.replace("| `weight_decay` |", "| `decay` |"), encoding="utf-8"
        )
        main(folder=tmp_path)
        assert (tmp_path / "README.md").read_text(encoding="utf-8") == readme
        assert (
            json.loads((tmp_path / "schema.json").read_text(encoding="utf-8"))["title"] == "Config"
        )
