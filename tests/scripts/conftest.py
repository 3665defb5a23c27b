"""Inputs that several tests of figures share."""

import pytest

from tests.scripts.effects_fixture import effects_of, write_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Paths of the files that the figures of the effects read, by name."""
    return write_inputs(tmp_path_factory.mktemp("inputs"), effects_of())
