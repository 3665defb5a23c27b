"""Section `drift`."""

from lcd_core.settings import DriftSettings
from pipeline.config.from_settings import section_of


class Drift(section_of(DriftSettings)):  # type: ignore[misc]
    """Inference step 2: the drift, by denoising score matching."""
