"""Settings: bounds, types and contradictions are refused by name; numbers become plain ones."""

import dataclasses
import json

import numpy as np
import pytest

from lcd_core.errors import InputError
from lcd_core.settings import (
    PRESETS,
    DriftSettings,
    LinearisationSettings,
    PriorSettings,
    SamplerSettings,
    Settings,
    StateSettings,
    setting,
)

ALL = [PriorSettings, StateSettings, DriftSettings, SamplerSettings, LinearisationSettings]

MISTAKES = [
    # settings, field, value, what the message says
    (PriorSettings, "hidden", 0, "at least 1"),
    (PriorSettings, "hidden", 2.5, "an integer"),
    (PriorSettings, "hidden", True, "true or false"),
    (PriorSettings, "hidden", None, "an integer"),
    (PriorSettings, "beta2", 1.0, "below 1"),
    (PriorSettings, "learning_rate", "fast", "a number"),
    (PriorSettings, "learning_rate", float("nan"), "a number"),
    (PriorSettings, "learning_rate", float("inf"), "a number"),
    (PriorSettings, "learning_rate", -1, "above 0"),
    (DriftSettings, "time_dimensions", 3, "a multiple of 2"),
    (DriftSettings, "parameterization", "other", "one of plain, linear_pull"),
    (StateSettings, "transform", None, "one of identity, log_rate"),
    (SamplerSettings, "step_size", 2, "below 2"),
    (LinearisationSettings, "ridge", -1e-3, "at least 0"),
    (LinearisationSettings, "exclude_unconverged", 1, "true or false"),
    (PriorSettings, "warmup_steps", 250_000, "lower prior.warmup_steps or raise prior.steps"),
    (DriftSettings, "alpha_min", 10.0, "lower drift.alpha_min or raise drift.alpha_max"),
]


@pytest.mark.parametrize(("settings", "name", "value", "words"), MISTAKES)
def test_a_value_that_cannot_be_is_refused_by_name(settings, name, value, words):
    with pytest.raises(InputError, match=words) as caught:
        settings(**{name: value})
    assert caught.value.where == f"{settings.section}.{name}"


@pytest.mark.parametrize("settings", ALL)
def test_every_default_is_valid_and_described(settings):
    settings()
    for own in dataclasses.fields(settings):
        assert own.metadata["description"].endswith(".")
        assert own.metadata["source"]


def test_numbers_of_numpy_become_plain():
    settings = PriorSettings(hidden=np.int64(32), temperature=np.float32(5))
    assert json.loads(json.dumps(dataclasses.asdict(settings)))["hidden"] == 32
    assert settings == PriorSettings(hidden=32, temperature=5.0)


def test_what_may_be_missing_may_be_missing():
    assert LinearisationSettings(ridge=None).ridge is None
    assert LinearisationSettings(ridge=0).ridge == 0


def test_settings_of_ones_own_name_their_section():
    @dataclasses.dataclass(frozen=True)
    class Tea(Settings):
        section = "tea"
        minutes: int = setting(3, "Minutes.", source="taste", le=5)

    with pytest.raises(InputError, match=r"(?s)tea\.minutes: .*at most 5.*found:  6"):
        Tea(minutes=6)


def test_presets_are_named_for_what_they_do():
    assert PRESETS["default"] == SamplerSettings()
    assert (PRESETS["released"].step_size, PRESETS["released"].steps_per_level) == (0.01, 500)
