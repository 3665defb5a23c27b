"""Settings of a simulation that are refused."""

import numpy as np

from lcd_core.errors import InputError


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a value of ``simulation.<name>`` outside ``low`` to ``high``, or not finite."""
    if not low <= value <= high or not np.isfinite(value):
        raise InputError(
            "this value is out of range.",
            where=f"simulation.{name}",
            found=str(value),
            remedy=f"choose a number from {low:g} to {high:g}"
            if np.isfinite(high)
            else f"choose a finite number of at least {low:g}",
        )
