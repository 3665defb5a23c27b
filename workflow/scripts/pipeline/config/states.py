"""Section `states`."""

from lcd_core.settings import StateSettings
from pipeline.config.from_settings import section_of


class States(section_of(StateSettings)):  # type: ignore[misc]
    """The coordinates in which the drift is learned; standardised in either case."""
