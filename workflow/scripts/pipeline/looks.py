"""How methods, sources of cells and estimators appear in all figures and tables."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

UNKNOWN = "#6E6E6E"
DEFAULT = "default"
KINDS = ("baseline", "method", "reference", "source")


class Look(NamedTuple):
    """Label, which may have several lines; colour; and kind, one of :data:`KINDS`."""

    label: str
    colour: str
    kind: str = "method"


# Colours here and of the methods are those of Okabe and Ito 2008, told apart with any colour
# vision; references are grey and black.
SOURCES = {
    "prior": Look("Prior", "#CC79A7", "source"),
    "halves": Look("Halves of\nobserved", "#222222", "reference"),
    "observed": Look("Observed", "#222222", "source"),
}
"""Sources of cells that are no methods: samples of the prior, and observed cells."""


class Looks:
    """Looks of the methods of a run, of their variants, and of the sources of cells.

    A name is that of a method, or with a variant after a slash, ``lcd/wide`` or
    ``lcd/default.seed2``. A variant has the label of its method with its own name or seed added,
    and a shade of the method's colour. A name without a look is a grey method under its own name.

    Parameters
    ----------
    mapping
        Looks by name of the method, in the order of display within each kind.
    """

    def __init__(self, mapping: Mapping[str, Look]) -> None:
        self._looks = {**mapping, **SOURCES}
        self._positions = {name: float(place) for place, name in enumerate(self._looks)}
        methods = [name for name, own in self._looks.items() if own.kind == "method"]
        # A method without a look stands before the last one, for which the figures are made.
        self._unknown = self._positions[methods[-1]] - 0.5 if methods else 0.0

    def look(self, name: str) -> Look:
        """Label, colour and kind of a method, a variant of one, or a source."""
        if name in self._looks:
            return self._looks[name]
        method, settings, seed = parts_of(name)
        if method not in self._looks:
            return Look(name.replace("_", " "), UNKNOWN)
        label, colour, kind = self._looks[method]
        if settings != DEFAULT:
            label += "\n" + settings.replace("_", " ")
        if seed != 1:
            label += f",\nseed {seed}"
        return Look(label, shade_of(colour, settings, seed), kind)

    def flat_label(self, name: str) -> str:
        """Label on one line."""
        return self.look(name).label.replace("\n", " ")

    def kind(self, name: str) -> str:
        """Return one of :data:`KINDS`."""
        return self.look(name).kind

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Order names for display: by kind, then as in the mapping, variants by their method."""

        def place(name: str) -> tuple[int, float, str, bool, str, int]:
            method, settings, seed = parts_of(name)
            position = self._positions.get(method, self._unknown)
            kind = KINDS.index(self.kind(name))
            return kind, position, method, settings != DEFAULT, settings, seed

        return sorted(set(names), key=place)


def looks_of(mapping: Mapping[str, Mapping[str, str]]) -> Looks:
    """Looks from the plain values ``label``, ``colour`` and ``kind`` of each method."""
    return Looks({name: Look(**values) for name, values in mapping.items()})


def parts_of(name: str) -> tuple[str, str, int]:
    """Method, name of its settings, and number of the seed."""
    method, _, variant = name.partition("/")
    settings, _, seed = variant.partition(".seed")
    return method, settings or DEFAULT, max(int(seed), 1) if seed.isdecimal() else 1


def shade_of(colour: str, settings: str, seed: int) -> str:
    """Shade of a method's colour for a variant.

    It follows from the name of the variant alone and so is the same in all figures. Different
    settings are lighter or darker by their name, further seeds lighter than the first.
    """
    if settings != DEFAULT:
        chance = crc32(settings.encode())
        share = 0.2 + 0.35 * (chance // 2 % 1000) / 1000
        colour = mixed(colour, "#FFFFFF" if chance % 2 else "#000000", share)
    return mixed(colour, "#FFFFFF", 0.6 * (1 - 1 / seed))


def mixed(colour: str, other: str, share: float) -> str:
    """Mix a colour with a share of another one, both as ``#RRGGBB``."""
    first, second = bytes.fromhex(colour[1:]), bytes.fromhex(other[1:])
    parts = (round((1 - share) * a + share * b) for a, b in zip(first, second, strict=True))
    return "#" + bytes(parts).hex().upper()


class Estimator(NamedTuple):
    """Look of an estimator of effects, and what it is told: ``samples``, ``targets``, ``truth``."""

    label: str
    colour: str
    knows: str = "samples"

    @property
    def marker(self) -> str:
        """Round for samples alone, square with the targets, a diamond with the truth."""
        return {"samples": "o", "targets": "s", "truth": "D"}[self.knows]

    @property
    def hollow(self) -> bool:
        """Whether markers are hollow, as those of what is no method."""
        return self.knows == "truth"


ESTIMATORS = {
    "direct_effects": Estimator("Direct effects", "#D55E00", "targets"),
    "lcd_clipr": Estimator("CLIPR (Eqs. 5-8)", "#E69F00"),
    "centred_ridge": Estimator("CLIPR, Jacobian", "#F0E442"),
    "averaged_current": Estimator("Current and rows", "#D55E00", "targets"),
    "averaged_current_inferred": Estimator("Current, targets inferred", "#CC79A7"),
    "probability_current": Estimator("Probability current", "#882255", "targets"),
    "target_aware_rows": Estimator("Rows told the targets", "#44AA99", "targets"),
    "adaptive_rows": Estimator("Sparse rows, averaged", "#332288", "targets"),
    "oriented_z": Estimator("Oriented changes, z", "#117733", "targets"),
    "total_effects": Estimator("Total effects", "#56B4E9", "targets"),
    "inspre": Estimator("inspre", "#661100", "targets"),
    "lyapunov_lasso": Estimator("Lyapunov lasso", "#999933"),
    "expression_correlation": Estimator("Correlation of expression", "#222222"),
    "differential_expression_profiles": Estimator("Correlation of DE", "#AA4499"),
    "inverse_pooled_covariance": Estimator("Inverse pooled covariance", "#0072B2"),
    "linear_cyclic": Estimator("Linear cyclic", "#009E73", "targets"),
    "differential_expression": Estimator("Differential expression", "#8C8C8C", "targets"),
    "oriented_differential_expression": Estimator(
        "Oriented diff. expression", "#CC79A7", "targets"
    ),
    "oriented_differential_expression_z": Estimator(
        "Oriented diff. expr., z", "#009E73", "targets"
    ),
    "true_precision": Estimator("True precision matrix", "#56B4E9", "truth"),
    "clipr_exact_drift": Estimator("CLIPR on the exact drift", "#222222", "truth"),
}
"""In the order of display. Some colours occur twice, of estimators that never meet in a figure."""

STRUCTURES = {"power_law": "Power law", "erdos_renyi": "Erdős-Rényi"}
"""Labels of the structures of linear systems, in the order of display."""


def estimator(name: str) -> Estimator:
    """Look of an estimator; one without a look of its own is grey under its name."""
    return ESTIMATORS.get(name, Estimator(name.replace("_", " "), UNKNOWN))


def estimators_in_order(names: Iterable[str]) -> list[str]:
    """Order estimators for display; those without a look come last."""
    order = {name: position for position, name in enumerate(ESTIMATORS)}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))
