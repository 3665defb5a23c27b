"""Section `clipr`."""

from lcd_core.settings import LinearisationSettings
from pipeline.config.from_settings import section_of


class Clipr(section_of(LinearisationSettings)):  # type: ignore[misc]
    """CLIPR: causal effects from the responses of a drift to perturbations."""
