"""The sampler that the section `sampling` of the settings describes."""

from lcd_core.settings import SamplerSettings
from pipeline.settings import read_settings


def sampler_of(path: str) -> SamplerSettings:
    """Read the sampler; the name of the preset that filled it in is not part of it."""
    values = read_settings(path)["sampling"]
    del values["preset"]
    return SamplerSettings(**values)
