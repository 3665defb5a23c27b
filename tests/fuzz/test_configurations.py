"""Configurations: valid ones with something wrong put into them, and things that are none."""

import copy
import datetime
from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.config.config import load_config
from pipeline.plan import Plan
from tests.fuzz.harness import cases, outcome, texts

FOLDER = Path(__file__).parents[2] / "config"
SHIPPED = [
    yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))
]
RICH = {
    "screen": {"kind": "file", "path": "a.h5ad", "keep": {"a": ["x", 1]}, "separator": ["+", "_"]},
    "folds": {"count": 3, "tuning_doubles": 2, "max_test_doubles": 6},
    "methods": {
        "lcd": {
            "prior": {"steps": 6000},
            "drift": {"hidden": 9},
            "sampling": {"preset": "custom", "step_size": 0.5, "steps_per_level": 7},
            "variants": {"wide": {"drift": {"hidden": 512}}},
            "grid": {"drift.weight_decay": [0.1, 1]},
        },
        "mine": {"predictions": "x_{fold}.h5ad", "label": "Mine"},
        "salt": {"run": False},
    },
    "tuning": {"methods": ["lcd"]},
    "prediction": {"methods": ["lcd", "lcd/wide.seed2", "control", "mine"]},
    "interactions": {"metric": "mmd_top_de", "versus": "control"},
    "modules": {"cut": "number", "number": 4},
    "enrichment": {"gene_sets": ["a.gmt"]},
}
"""A configuration with something in every corner."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**9, 2**31, 2**63, 10**30, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from(["lcd", "salt", "lcd/wide", "lcd/default.seed0", "1e-3", "null", "true"]),
    st.sampled_from(["9" * 5000, "1e999", "lcd/", "/", "lcd/wide.seed" + "9" * 5000, "٣", "+"]),
    st.sampled_from(["obs:", "{fold}", "0x10", "1_000", " 2"]),
    texts,
    st.just(datetime.date(2024, 11, 1)),  # what YAML makes of 2024-11-01
    st.just(datetime.datetime(2024, 11, 1, 3)),
    st.just(b"bytes"),
)  # fmt: skip
keys = st.one_of(
    texts, st.integers(-2, 2), st.none(), st.booleans(), st.just(datetime.date(2024, 11, 1)),
    st.sampled_from(["steps", "prior", "lcd", "drift.hidden", "prior.", ".", "mine", "wide"]),
    st.sampled_from(["default", "grid1", "__class__", "hidden", "variants", "grid"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def places(value, place=()):
    """All places in a configuration."""
    yield place
    if isinstance(value, list):
        value = dict(enumerate(value))
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from places(inner, (*place, name))


def put(value, place, what):
    """The value with something else at a place."""
    if not place:
        return what(value)
    value[place[0]] = put(value[place[0]], place[1:], what)
    return value


COMPLETE = load_config(RICH, "x").model_dump()


@st.composite
def mutated(draw):
    """A valid configuration, changed in one to three places."""
    config = copy.deepcopy(draw(st.sampled_from([*SHIPPED, RICH, RICH, COMPLETE, COMPLETE])))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(
            st.sampled_from(list(places(config)) if isinstance(config, dict | list) else [()])
        )
        kind = draw(st.sampled_from(["replace", "replace", "add", "wrap", "drop"]))
        new, key = draw(values), draw(keys)

        def change(value, kind=kind, new=new, key=key):
            if kind == "add" and isinstance(value, dict):
                return {**value, key: new}
            if kind == "add" and isinstance(value, list):
                return [*value, new]
            if kind == "drop" and isinstance(value, dict) and value:
                return dict(list(value.items())[1:])
            return [value] if kind == "wrap" else new

        config = put(config, place, change)
    return config


def use(config: object) -> None:
    """Ask the plan all that rules ask it."""
    plan = Plan(load_config(config, "some.yaml"), "some.yaml")
    for fit in plan.benchmark:
        assert str(fit.parse(str(fit))) == str(fit)
        if fit.method not in plan.methods:
            assert plan.own_prediction(fit.method).predictions
            continue
        method = plan.methods[fit.method]
        for program in method.programs if method.settings is not None else ():
            plan.settings(fit.method, fit.variant.settings, program)
            plan.owner(method, fit.variant, program)
    plan.looks()
    if "benchmark" in plan.config.analyses:
        known = [str(fit) for fit in plan.benchmark]
        assert {plan.reference, *plan.shown, plan.versus} <= set(known)
        assert plan.interaction_metric in plan.config.evaluation.metrics
    assert load_config(plan.config.model_dump(), "x") == plan.config, "reads back"


@cases(150)
@given(mutated())
@example({"methods": {"lcd": {"drift": {"hidden": 10**400}}}})
@example({"methods": {"lcd": {"drift": {"learning_rate": 10**400}}}})
@example({"seed": "9" * 5000}).via("digits without end")
@example({"methods": {"lcd": {"grid": {"prior": 3}}}, "tuning": {"methods": ["lcd"]}})
def test_a_changed_configuration_is_planned_or_refused(config):
    outcome(lambda: use(config))


@cases(50)
@given(values)
@example({None: None})
@example({"folds": {None: 1}})
@example([["9" * 5000] * 30])
def test_anything_else_is_refused_or_empty(config):
    outcome(lambda: use(config))


@cases(40)
@given(st.dictionaries(st.sampled_from(sorted(COMPLETE)) | keys, values, max_size=4))
def test_sections_of_anything(config):
    outcome(lambda: use(config))
