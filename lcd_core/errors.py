"""The one error that reports a mistake in what the user supplied."""

from collections.abc import Iterable

MOST = 2000
"""Characters of the offending values that a message shows."""


def shown(values: Iterable[object], limit: int = 10) -> str:
    """Join at most ``limit`` values for a message, saying how many were left out."""
    items = [str(value) for value in values]
    text = ", ".join(items[:limit])
    return text if len(items) <= limit else f"{text}, ... ({len(items)} in all)"


class InputError(ValueError):
    """A user mistake: one message with place, offending values and remedy.

    Parameters
    ----------
    what
        One sentence that says what is wrong.
    where
        File and field, e.g. ``"screen.h5ad, obs['perturbation']"``.
    found
        The offending values; a string is shown as it is, of anything iterable at most ten, of
        either so much as fits into a message.
    remedy
        What the user can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: str | Iterable[object] | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        self.found = found if found is None or isinstance(found, str) else shown(found)
        if self.found is not None and len(self.found) > MOST:
            self.found = f"{self.found[:MOST]} ..."
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.found is not None:
            lines.append(f"  found:  {self.found}")
        if self.remedy is not None:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)
