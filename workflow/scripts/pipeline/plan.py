"""What a run makes: its folds, its fits, and the settings of each.

A fit is named by its method and its variant, ``lcd`` or ``lcd/wide.seed2``. A *variant* is a named
set of settings, with a seed after ``.seed`` unless it is the first; a *fold* says what is trained
on and what is held out, and nothing else. Files of a fit are under
``folds/<fold>/<method>/<variant>/``.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from evaluation.registry import METRICS
from lcd_core.errors import InputError
from pipeline.config.config import Config
from pipeline.config.layers import laid_over, nested
from pipeline.config.messages import meant, readable
from pipeline.config.methods import (
    DEFAULT,
    TUNED,
    OwnPrediction,
    given_settings,
    grid_points,
    plain_settings,
    validated,
)
from pipeline.config.source import Source
from pipeline.methods import Method, Program, method_looks, registry


class Variant(NamedTuple):
    """A named set of settings, and the number of the seed."""

    settings: str = DEFAULT
    seed: int = 1

    @classmethod
    def parse(cls, text: str) -> "Variant":
        """Read ``wide`` or ``wide.seed2``."""
        settings, _, seed = text.partition(".seed")
        return cls(settings, int(seed or 1))

    def __str__(self) -> str:
        return self.settings if self.seed == 1 else f"{self.settings}.seed{self.seed}"


VARIANT = r"[A-Za-z][A-Za-z0-9_]*(\.seed[1-9][0-9]*)?"
"""What the name of a variant looks like."""


class Fit(NamedTuple):
    """A method with a variant."""

    method: str
    variant: Variant

    @classmethod
    def parse(cls, name: str) -> "Fit":
        """Read ``lcd`` or ``lcd/wide.seed2``."""
        method, _, variant = name.partition("/")
        return cls(method, Variant.parse(variant or DEFAULT))

    def __str__(self) -> str:
        default = self.variant == Variant()
        return self.method if default else f"{self.method}/{self.variant}"


def _changes_of(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point of a grid, by dotted keys, as nested settings."""
    changes: dict[str, Any] = {}
    for key, value in point.items():
        changes = laid_over(changes, nested(key, value))
    return changes


def _gives(value: Any, key: str) -> bool:
    """Whether a section's value in a grid says what a dotted key within the section is."""
    first, _, rest = key.partition(".")
    if not isinstance(value, Mapping):
        return True
    return first in value and (not rest or _gives(value[first], rest))


class Plan:
    """The fits of a configuration.

    Parameters
    ----------
    config
        The checked configuration.
    path
        Its file, or where its values come from, for messages.

    Raises
    ------
    InputError
        If a name of a method or variant is unknown, or a variant's settings are refused.
    """

    def __init__(self, config: Config, path: str | Source) -> None:
        self.config = config
        self.source = path if isinstance(path, Source) else Source(path)
        self.methods = registry()
        self._settings: dict[tuple[str, str], dict[str, Any]] = {}
        for method in self.methods.values():
            if method.settings is not None:
                self._settings |= self._settings_of(method)
        self.tuned = [self._tunable(name) for name in config.tuning.methods]
        self._check_variant("effects.variant", Fit("lcd", self.effects_variant))
        self._check_variant("predictions.variant", Fit("lcd", Variant(config.predictions.variant)))
        if "benchmark" in config.analyses:
            self._check_benchmark()

    def _settings_of(self, method: Method) -> dict[tuple[str, str], dict[str, Any]]:
        """Settings of all variants of a method that are known before anything runs."""
        section = getattr(self.config.methods, method.name)
        given = given_settings(section)
        place = f"methods.{method.name}"
        found = {(method.name, DEFAULT): plain_settings(method, section)}
        for name, changes in section.variants.items():
            where = f"{place}.variants.{name}"
            self._check_files(method, changes, where)
            found[method.name, name] = validated(method, given, changes, where, self.source)
        points = self.grid(method)
        if section.grid is not None:  # checked whether or not the method is tuned
            self._check_grid(f"{place}.grid", section.grid)
            points = grid_points(section.grid)
        settings = self._settings_of_points(method, points, f"{place}.grid")
        if method.name in self.config.tuning.methods:
            for number, own in enumerate(settings, start=1):
                found[method.name, f"grid{number:03d}"] = own
        return found

    def _settings_of_points(
        self, method: Method, points: list[dict[str, Any]], place: str
    ) -> list[dict[str, Any]]:
        """Settings of points of a grid; raise InputError where one is refused or there twice."""
        given = given_settings(getattr(self.config.methods, method.name))
        found: list[dict[str, Any]] = []
        for point in points:
            changes = _changes_of(point)
            self._check_files(method, changes, place)
            own = validated(method, given, changes, place, self.source)
            if own in found:
                raise InputError(
                    "points of a grid have the same settings, and would be fitted twice",
                    where=self._where(place),
                    found=f"{readable(points[found.index(own)])}, {readable(point)}",
                    remedy="name each value once",
                )
            found.append(own)
        return found

    def _check_files(self, method: Method, changes: Mapping[str, Any], place: str) -> None:
        """Raise InputError where a variant names files, which all variants of a method share."""
        own = [key for key in method.files.values() if key in changes]
        if own:
            raise InputError(
                "all variants of a method read the same files",
                where=self._where(f"{place}.{own[0]}"),
                found=str(changes[own[0]]),
                remedy=f"give methods.{method.name}.{own[0]} outside of variants and grid",
            )

    def grid(self, method: Method) -> list[dict[str, Any]]:
        """Points of the grid of a method that is tuned."""
        if method.settings is None or method.name not in self.config.tuning.methods:
            return []
        own = getattr(self.config.methods, method.name).grid
        grid = method.grid if own is None else own
        return grid_points(grid) if grid else []

    def _check_grid(self, place: str, grid: Mapping[str, list[Any]]) -> None:
        """Raise InputError where a grid has no points, or a key lies within another one."""
        empty = [f"{key}: []" for key, values in grid.items() if not values]
        if empty or not grid:
            raise InputError(
                "there are no values to try",
                where=self._where(place),
                found=empty or "an empty grid",
                remedy=f"give {place}, e.g. {{key: [value, value]}}, or leave it out",
            )
        within = [
            f"{inner} lies within {outer}"
            for outer in grid
            for inner in grid
            if inner.startswith(f"{outer}.")
            and any(_gives(value, inner.removeprefix(f"{outer}.")) for value in grid[outer])
        ]
        if within:
            raise InputError(
                "of two keys of a grid one would overwrite the other",
                where=self._where(place),
                found=within,
                remedy="name the key in one of them alone",
            )

    def grid_fits(self, method: str) -> list[Fit]:
        """The fits among which tuning chooses."""
        points = self.grid(self.methods[method])
        return [Fit(method, Variant(f"grid{n:03d}")) for n in range(1, len(points) + 1)]

    def _where(self, place: str) -> str:
        return f"{self.source.of_both(place)}, {place}"

    def _tunable(self, name: str) -> str:
        method = self.methods.get(name)
        if method is None or method.settings is None:
            able = [m.name for m in self.methods.values() if m.settings is not None]
            raise InputError(
                "this method has no settings to tune" if method else "there is no such method",
                where=self._where("tuning.methods"),
                found=name,
                remedy=f"name one of {', '.join(able)}",
            )
        if not self.grid(method):
            raise InputError(
                "there are no values to try",
                where=self._where(f"methods.{name}.grid"),
                found="an empty grid",
                remedy=f"give methods.{name}.grid, e.g. {{key: [value, value]}}",
            )
        if self.config.folds.tuning_doubles == 0:
            raise InputError(
                "tuning needs combinations of its own",
                where=self._where("folds.tuning_doubles"),
                found="0",
                remedy="raise folds.tuning_doubles, or leave tuning.methods empty",
            )
        if self.config.tuning.metric not in self.config.evaluation.metrics:
            raise InputError(
                "the metric to tune by is not computed",
                where=self._where("tuning.metric"),
                found=self.config.tuning.metric,
                remedy="name one of evaluation.metrics: "
                f"{', '.join(self.config.evaluation.metrics)}",
            )
        if (
            self.config.prediction.keep == "profiles"
            and METRICS[self.config.tuning.metric].needs_cells
        ):
            raise InputError(
                "the metric to tune by compares cells, and of predictions there are profiles alone",
                where=self._where("tuning.metric"),
                found=f"{self.config.tuning.metric}, prediction.keep: profiles",
                remedy="name a metric of means, such as pearson_delta, or keep cells",
            )
        return name

    def main_fit(self, method: str) -> Fit:
        """The fit that a method's name alone stands for."""
        return Fit(method, Variant(TUNED if method in self.config.tuning.methods else DEFAULT))

    @cached_property
    def benchmark(self) -> list[Fit]:
        """The fits whose predictions are compared."""
        own = self.config.methods.own
        names = self.config.prediction.methods
        if names is None:
            names = tuple(name for name in self.methods if self._runs(name))
            names += tuple(own)
        fits = [self._fit("prediction.methods", name) for name in names]
        known = [*self.methods, *own]
        return sorted(
            dict.fromkeys(fits), key=lambda fit: (known.index(fit.method), str(fit.variant))
        )

    def _runs(self, name: str) -> bool:
        """Whether a method runs where nothing names the methods that do."""
        wanted: bool | None = getattr(self.config.methods, name).run
        named = name in self.config.methods.model_fields_set
        return (self.methods[name].default or named) if wanted is None else wanted

    def _fit(self, place: str, name: str) -> Fit:
        method, _, variant = name.partition("/")
        if method not in self.methods and method not in self.config.methods.own:
            known = [*self.methods, *self.config.methods.own]
            raise InputError(
                "there is no such method",
                where=self._where(place),
                found=name,
                remedy=f"{meant(method, known)}the methods are {', '.join(known)}; a prediction of "
                "your own is named under `methods`, with `predictions: <file>`",
            )
        if not variant:
            return self.main_fit(method)
        if not re.fullmatch(VARIANT, variant):
            raise InputError(
                "this is no name of a variant",
                where=self._where(place),
                found=name,
                remedy="write <method>/<variant>, or <method>/<variant>.seed2 for another seed",
            )
        fit = Fit.parse(name)
        if method in self.config.methods.own and fit.variant != Variant():
            raise InputError(
                "a prediction made elsewhere has no variants and no seeds",
                where=self._where(place),
                found=name,
                remedy=f"name {method} alone; another file is another name under `methods`",
            )
        self._check_variant(place, fit)
        return fit

    def _check_variant(self, place: str, fit: Fit) -> None:
        """Raise InputError where a method has no such variant."""
        if fit.variant.settings in self.variants(fit.method):
            return
        plain, seed, _ = fit.variant.settings.partition(".seed")
        if self.methods[fit.method].settings is None:
            remedy = f"{fit.method} has no settings; name it alone, or another seed as "
            remedy += f"{fit.method}/{DEFAULT}.seed2"
        elif seed:
            remedy = f"name the variant alone, {plain or DEFAULT}, and not one of its seeds"
        else:
            remedy = f"define it as methods.{fit.method}.variants.{fit.variant.settings}, or name "
            remedy += f"one of {', '.join(self.variants(fit.method))}"
        raise InputError(
            f"{fit.method} has no such variant",
            where=self._where(place),
            found=fit.variant.settings,
            remedy=remedy,
        )

    def variants(self, method: str) -> list[str]:
        """Names of the settings of a method."""
        own = [name for owner, name in self._settings if owner == method]
        tuned = [TUNED] if method in self.config.tuning.methods else []
        return [*(own or [DEFAULT]), *tuned]

    def _check_benchmark(self) -> None:
        self._check_external()
        names = [str(fit) for fit in self.benchmark]
        for place, wanted in {
            "evaluation.reference": [self.config.evaluation.reference],
            "evaluation.shown": self.config.evaluation.shown or (),
            "interactions.versus": [self.config.interactions.versus],
        }.items():
            for name in filter(None, wanted):
                if str(self._fit(place, name)) not in names:
                    raise InputError(
                        "this method does not run",
                        where=self._where(place),
                        found=name,
                        remedy=f"name one of {', '.join(names)}, or add it to prediction.methods",
                    )
        if self.config.interactions.versus is not None and self.versus == self.reference:
            raise InputError(
                "a method cannot be compared with itself",
                where=self._where("interactions.versus"),
                found=f"{self.versus}, which is evaluation.reference too",
                remedy="name another method, or leave the key out",
            )
        self._check_comparable()

    def _check_comparable(self) -> None:
        """Raise InputError where every metric compares cells, and a prediction has none."""
        metrics = list(self.config.evaluation.metrics)
        if any(not METRICS[name].needs_cells for name in metrics):
            return
        made_elsewhere = self.config.methods.own
        given = [
            f"methods.{fit.method}.values: profile"
            for fit in self.benchmark
            if fit.method in made_elsewhere and made_elsewhere[fit.method].values == "profile"
        ]
        if self.config.prediction.keep == "profiles":
            given.insert(0, "prediction.keep: profiles")
        if given:
            raise InputError(
                "all metrics compare cells, and of predictions there are profiles alone",
                where=self._where("evaluation.metrics"),
                found=f"{', '.join(metrics)}; {', '.join(given)}",
                remedy="add a metric of means, such as pearson_delta, or keep cells",
            )

    def _check_external(self) -> None:
        """Raise InputError where an evaluator made elsewhere would get no cells to compare."""
        if not self.config.evaluation.external:
            return
        own = {fit.method: self.own_prediction(fit.method) for fit in self.benchmark}
        profiles = [name for name, given in own.items() if given and given.values == "profile"]
        if self.config.prediction.keep == "profiles":
            found, remedy = "prediction.keep: profiles", "set prediction.keep to cells"
        elif profiles:
            found, remedy = f"profiles of {', '.join(profiles)}", "leave these out"
        else:
            return
        raise InputError(
            "evaluators made elsewhere compare cells, and of predictions there are profiles alone",
            where=self._where("evaluation.external"),
            found=found,
            remedy=f"{remedy}, or leave evaluation.external empty",
        )

    @property
    def reference(self) -> str:
        """Name of the fit with which the others are compared."""
        return str(self._fit("evaluation.reference", self.config.evaluation.reference))

    @property
    def shown(self) -> list[str]:
        """Names of the fits whose cells are shown gene by gene."""
        if self.config.evaluation.shown is not None:
            return [str(self._fit("evaluation.shown", n)) for n in self.config.evaluation.shown]
        return list(dict.fromkeys([self.versus, self.reference]))

    @property
    def _others(self) -> list[str]:
        """Fits of methods proper that are not the reference."""
        return [
            str(fit)
            for fit in self.benchmark
            if fit.method in self.methods
            and self.methods[fit.method].kind == "method"
            and str(fit) != self.reference
        ]

    @property
    def versus(self) -> str:
        """Name of the fit with which the reference is compared by type of interaction."""
        if self.config.interactions.versus is not None:
            return str(self._fit("interactions.versus", self.config.interactions.versus))
        return "salt" if "salt" in self._others else [self.reference, *self._others][-1]

    def named(self, *methods: str) -> list[str]:
        """Those of some fits that run, in the order given."""
        there = {str(fit) for fit in self.benchmark}
        return [name for name in methods if name in there]

    @property
    def references(self) -> list[str]:
        """Names of the fits that are duplicates of the observed cells, and no methods."""
        return [
            str(fit)
            for fit in self.benchmark
            if fit.method in self.methods and self.methods[fit.method].kind == "reference"
        ]

    @property
    def fewest_test_cells(self) -> int:
        """Cells of a held-out perturbation without which the methods cannot be compared.

        Halves of two cells each, unless every method is compared with all of them.
        """
        halves = self.config.evaluation.cells == "equal" or bool(self.named("ceiling"))
        return 4 if halves else 2

    @property
    def interaction_metric(self) -> str:
        """Metric by which they are compared."""
        return self.config.interactions.metric or self.config.evaluation.metrics[0]

    @property
    def effects_variant(self) -> Variant:
        """The variant of LCD from which effects are read."""
        return Variant(self.config.effects.variant)

    def seeds_of_effects(self) -> list[Variant]:
        """Its seeds."""
        name = self.config.effects.variant
        return [Variant(name, n) for n in range(1, self.config.effects.seeds + 1)]

    def seeds_of_predictions(self) -> list[Variant]:
        """Fits of LCD that predict combinations."""
        own = self.config.predictions
        return [Variant(own.variant, n) for n in range(1, own.seeds + 1)]

    def settings(self, method: str, variant: str, program: Program) -> dict[str, Any] | None:
        """Settings that a program reads; None for a variant that is chosen by the run itself."""
        self._check_variant("methods", Fit(method, Variant(variant)))
        if variant == TUNED:
            return None
        own = self._settings[method, variant]
        return own if program.settings is None else {n: own[n] for n in program.settings}

    def all_settings(self, method: str, variant: str) -> dict[str, Any]:
        """All settings of a variant that is known before anything runs."""
        return self._settings[method, variant]

    def owner(self, method: Method, variant: Variant, program: Program) -> Variant:
        """The variant that runs a program for this one too.

        Of the variants that agree in all settings up to that program it is the first: a grid over
        settings of a later step does not repeat the steps before.
        """
        self._check_variant("methods", Fit(method.name, variant))
        if method.settings is None or variant.settings == TUNED:
            return variant
        sections = method.sections_up_to(program)
        own = self._settings[method.name, variant.settings]
        for (name, other), values in self._settings.items():
            if name == method.name and all(
                values[s] == own[s] for s in (sections if sections is not None else own)
            ):
                return Variant(other, variant.seed)
        raise AssertionError("a variant agrees with itself")

    @property
    def quick(self) -> list[Fit]:
        """Fits of the benchmark that share the job of their fold, once for all that agree."""
        found = []
        for fit in self.benchmark:
            method = self.methods.get(fit.method)
            if method is not None and method.programs[-1].quick:
                found.append(Fit(fit.method, self.owner(method, fit.variant, method.programs[-1])))
        return list(dict.fromkeys(found))

    def own_prediction(self, method: str) -> OwnPrediction | None:
        """A prediction made elsewhere, if that is what the name stands for."""
        return self.config.methods.own.get(method)

    def looks(self) -> dict[str, dict[str, str]]:
        """Label, colour and kind of every method, in the order of display."""
        own = {
            name: {"label": given.label or name, "colour": given.colour, "kind": "method"}
            for name, given in self.config.methods.own.items()
        }
        looks = method_looks()
        # those of one's own before the last method, as which the model of the figures counts
        methods = [name for name, look in looks.items() if look["kind"] == "method"]
        before = list(looks)[: list(looks).index(methods[-1])]
        return {n: looks[n] for n in before} | own | {n: looks[n] for n in looks if n not in before}
