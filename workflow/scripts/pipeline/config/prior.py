"""Section `prior`."""

from lcd_core.settings import PriorSettings
from pipeline.config.from_settings import section_of


class Prior(section_of(PriorSettings)):  # type: ignore[misc]
    """Inference step 1: one implicit prior (a generator network) per condition."""
