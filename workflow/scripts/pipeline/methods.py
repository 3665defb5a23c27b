"""The registry of prediction methods: a method is a folder under ``workflow/methods/``.

Its ``method.py`` defines ``METHOD``, a :class:`Method`; beside it lie the method's programs, one
script each. Rules, the names that the configuration accepts, looks and documentation come from
here. A program says by the names of its arguments what it needs: files of its fold, what earlier
programs of the method wrote, settings, and values of the run (:data:`FOLD_FILES`,
:data:`RUN_VALUES`).
"""

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lcd_core.errors import InputError
from pipeline.config.schema import Section

FOLDER = Path(__file__).parents[2] / "methods"
ENVIRONMENTS = Path(__file__).parents[3] / "envs"

FOLD_FILES = {
    "train": "train.h5ad",
    "test_perturbations": "test_perturbations.txt",
    "genes": "genes.tsv",
    "markers": "markers.tsv",
    "differential_expression": "differential_expression.tsv",
}
"""Arguments that are files of the fold, in its folder ``data``, made of training cells alone."""

HELD_OUT_FILES = {
    "test": "test.h5ad",
    "test_differential_expression": "test_differential_expression.tsv",
}
"""The held-out cells and their tests, which references alone may see."""

RUN_VALUES = {
    "n_cells",
    "keep",
    "top_genes",
    "check_cells",
    "seed",
    "device",
    "code",
    "checkpoint",
    "checkpoint_interval",
}
"""Arguments that are values of the run: cells to predict for each perturbation; whether cells or
profiles are written; genes and cells of the checks; seed and device of the job; a hash of its
code; where and how often it keeps a checkpoint."""


@dataclass(frozen=True, eq=False)
class Program:
    """One step of a method, a rule of its own.

    Attributes
    ----------
    script
        Name of the script in the method's folder, without ``.py``.
    outputs
        Argument of its ``main`` -> file, relative to the folder of fold, method and variant.
    settings
        Sections of the method's settings that it reads; all of them if None. Programs of variants
        that agree in these, and in those of the programs before, are run once.
    threaded
        Whether it uses the threads of a fit.
    environment
        Name of its environment under ``envs/``. If ``envs/<name>.txt`` is there, the tool that the
        program starts has an environment of its own, which the argument ``environment`` stands
        for (see ``pipeline.tools``).
    quick
        Whether it takes less time than a job takes to start: those of a fold then share one. Such a
        program is the only one of its method, writes nothing but ``prediction``, and needs neither
        threads, device, checkpoints, files of its settings nor an environment of its own.
    """

    script: str
    outputs: Mapping[str, str] = field(default_factory=lambda: {"prediction": "prediction.h5ad"})
    settings: tuple[str, ...] | None = None
    threaded: bool = False
    environment: str = "core"
    quick: bool = False


QUICK = (Program("predict", quick=True),)
"""Programs of a method that needs no fit to speak of."""


@dataclass(frozen=True, eq=False)
class Method:
    """What the pipeline knows about a prediction method.

    Attributes
    ----------
    label
        Name in figures and tables; a line break is allowed.
    description
        One sentence for the documentation, with source.
    colour
        Colour in figures, told apart from the others with any colour vision.
    position
        Place among the methods in figures: baselines below 30, methods below 90, references above.
    kind
        ``baseline``, ``method``, or ``reference``, which is none and sees the held-out cells.
    programs
        Its steps, in order; the last of those that write ``prediction`` is what is evaluated.
    settings
        Schema of its settings; None if it has none.
    grid
        Keys with the values that tuning tries, such as ``{"drift.weight_decay": [0.1, 1]}``.
    default
        Whether it is run where the configuration does not name the methods.
    files
        Argument -> key of its settings that names files, which its programs then get as inputs.
        They are those of the settings themselves, for all variants.
    name
        Name of its folder, filled in.
    """

    label: str
    description: str
    colour: str
    position: int
    kind: Literal["baseline", "method", "reference"] = "method"
    programs: tuple[Program, ...] = (Program("predict"),)
    settings: type[Section] | None = None
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    default: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def program(self, script: str) -> Program:
        """Find a program by the name of its script."""
        return next(program for program in self.programs if program.script == script)

    def sections_up_to(self, program: Program) -> tuple[str, ...] | None:
        """Sections of the settings on which the outputs of a program depend; None for all."""
        names: list[str] = []
        for own in self.programs[: self.programs.index(program) + 1]:
            if own.settings is None:
                return None
            names += [name for name in own.settings if name not in names]
        return tuple(names)


@cache
def registry() -> dict[str, Method]:
    """All methods by name, in the order in which they are shown.

    Raises
    ------
    InputError
        If a folder lacks its ``METHOD``, a program, or asks for what nothing provides.
    """
    found = []
    for path in sorted(FOLDER.glob("*/method.py")):
        name = path.parent.name
        method = getattr(importlib.import_module(f"methods.{name}.method"), "METHOD", None)
        if not isinstance(method, Method):
            raise InputError("a method needs METHOD, a pipeline.methods.Method", where=str(path))
        method = Method(**{**vars(method), "name": name})
        for program in method.programs:
            check_arguments(method, program)
        found.append(method)
    return {method.name: method for method in sorted(found, key=lambda m: (m.position, m.name))}


def method_looks() -> dict[str, dict[str, str]]:
    """Label, colour and kind of every method, in the order of display."""
    return {
        name: {"label": method.label, "colour": method.colour, "kind": method.kind}
        for name, method in registry().items()
    }


def script_of(method: Method, program: Program) -> Path:
    """Path of a program."""
    return FOLDER / method.name / f"{program.script}.py"


def requirements_of(environment: str) -> Path:
    """File of the requirements of a third-party tool; there is none for our own environments."""
    return ENVIRONMENTS / f"{environment}.txt"


@cache
def arguments_of(path: Path) -> tuple[str, ...]:
    """Names of the arguments of a script's ``main``, read without importing it.

    A method's program may need an environment in which the workflow itself does not run.
    """
    if not path.is_file():
        raise InputError("the program of a method is missing", where=str(path))
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            return tuple(argument.arg for argument in node.args.kwonlyargs)
    raise InputError("a program needs a function main with keyword arguments", where=str(path))


def provided_before(method: Method, program: Program) -> dict[str, tuple[Program, str]]:
    """What earlier programs of a method wrote: argument -> program and file."""
    own = method.programs.index(program)
    return {
        argument: (earlier, file)
        for earlier in method.programs[:own]
        for argument, file in earlier.outputs.items()
    }


def check_arguments(method: Method, program: Program) -> None:
    """Raise :class:`InputError` where a program asks for what nothing provides."""
    path = script_of(method, program)
    arguments = arguments_of(path)
    known = {*program.outputs, *provided_before(method, program), *FOLD_FILES, *RUN_VALUES}
    known.update(method.files)
    if requirements_of(program.environment).exists():
        known.add("environment")
    if method.settings is not None:
        known.add("settings")
    if method.kind == "reference":
        known.update(HELD_OUT_FILES)
    unknown = [argument for argument in arguments if argument not in known]
    missing = [argument for argument in program.outputs if argument not in arguments]
    if unknown or missing:
        raise InputError(
            "main has arguments that nothing provides"
            if unknown
            else "main lacks outputs that METHOD names",
            where=str(path),
            found=unknown or missing,
            remedy=f"use these names: {', '.join(sorted(known))}",
        )
    own = {"device", "checkpoint", "checkpoint_interval", *method.files} & {*arguments}
    alone = method.programs == (program,) and program.outputs.keys() == {"prediction"}
    shares = alone and not own and not program.threaded and program.environment == "core"
    if program.quick and not shares:
        raise InputError(
            "a quick program shares its job with others: it has to be the only one of its method, "
            "write nothing but a prediction, and need neither threads, device, checkpoints, files "
            "of its settings nor an environment",
            where=str(path),
            remedy="leave out quick=True",
        )
