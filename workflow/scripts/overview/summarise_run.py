"""What a run was asked, what came out, and what to doubt: the lines of the report's front page."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from overview.benchmark_lines import benchmark_lines, fit_lines, interaction_lines
from overview.effects_lines import effects_lines, linear_lines
from overview.lines import ASKED, Line, count, joined, table_of
from overview.screen_lines import screen_lines
from pipeline.looks import Looks, looks_of
from pipeline.tables import write_tsv


def main(
    *,
    overview: str,
    asked: Mapping[str, Any],
    looks: Mapping[str, Mapping[str, str]],
    reference: str,
    versus: str,
    alpha: float,
    quality_control: str | None = None,
    conditions: str | None = None,
    perturbations: str | None = None,
    targets: str | None = None,
    fits: str | None = None,
    summary: str | None = None,
    win_rates: str | None = None,
    calibration: str | None = None,
    by_type: str | None = None,
    edges: str | None = None,
    validated_edges: str | None = None,
    validation: str | None = None,
    held_out_validation: str | None = None,
    responses: Sequence[str] | None = None,
    module_numbers: str | None = None,
    membership: str | None = None,
    top_terms: str | None = None,
    recovery: str | None = None,
    linear_summary: str | None = None,
    systems: str | None = None,
) -> None:
    """Write a table of statements about the run, each from one of its tables.

    Parameters
    ----------
    overview
        TSV to write: the fields of :class:`overview.lines.Line`.
    asked
        What the configuration asks for: ``analyses``, ``screen``, ``folds``, ``methods``,
        ``tuned``, ``seeds``, ``cause_folds``, ``edges`` and ``systems``.
    looks
        Label, colour and kind of every method.
    reference, versus
        Fit that the benchmark compares with all others, and the one it is compared with by name;
        empty without a benchmark.
    alpha
        False discovery rate of differential expression.
    quality_control, conditions, perturbations, targets
        Tables of the screen, where there is one.
    fits
        Training conditions of the checked fits of LCD, where there are any.
    summary, win_rates, calibration, by_type
        Tables of the benchmark and of its interactions.
    edges, validated_edges, validation, held_out_validation, responses, module_numbers, membership,
    top_terms, recovery
        Tables of the causal effects.
    linear_summary, systems
        Tables of the linear systems.
    """
    files = {name: value for name, value in locals().items() if isinstance(value, str | list)}
    files = {name: value for name, value in files.items() if value}
    lines = list(asked_lines(asked, looks_of(looks)))
    if conditions:
        lines += screen_lines(files, alpha)
    if fits:
        lines += fit_lines(fits)
    if summary:
        lines += benchmark_lines(files, looks_of(looks), reference, versus)
    if by_type:
        lines += interaction_lines(by_type, looks_of(looks), reference, versus)
    if edges:
        given = [responses] if isinstance(responses, str) else list(responses or [])
        lines += effects_lines(files | {"responses": given}, asked["edges"])
    if linear_summary and systems:
        lines += linear_lines(linear_summary, systems)
    table = table_of(lines)
    logging.info("lines by part: %s", table["part"].value_counts().to_dict())
    write_tsv(table, overview)


def source_of_effects(asked: Mapping[str, Any]) -> str:
    """What the estimator of direct effects starts from."""
    from pipeline.evidence import reads_drift  # imports torch

    if reads_drift(asked["estimator"]):
        return "from the responses of fitted models"
    if asked["changes"] == "priors":
        return "from changes of states under fitted priors"
    return "from changes of counts, redrawn for each seed; no model enters"


def asked_lines(asked: Mapping[str, Any], looks: Looks) -> Iterator[Line]:
    """One line for each analysis that the configuration asks for."""
    for analysis in asked["analyses"]:
        if analysis == "benchmark":
            names = looks.in_order(asked["methods"])
            references = sum(looks.kind(name) == "reference" for name in names)
            methods = len(names) - references
            beside = f", beside {count(references, 'reference')}" if references else ""
            tuned = f", {joined(asked['tuned'])} tuned before" if asked["tuned"] else ""
            yield Line(
                ASKED,
                "Benchmark",
                f"Predict the cells of combinations held out in {count(asked['folds'], 'fold')} of "
                f"{asked['screen']}, by {count(methods, 'method')}{tuned}, and compare them with "
                f"the observed cells{beside}.",
                joined(looks.flat_label(name) for name in names),
            )
        elif analysis == "effects":
            held_out = (
                f", validated also on causes held out in {count(asked['cause_folds'], 'fold')}"
                if asked["cause_folds"]
                else ""
            )
            yield Line(
                ASKED,
                "Causal effects",
                f"Estimate direct effects among the genes of {asked['screen']} by "
                f"{asked['estimator']}, {source_of_effects(asked)}, over "
                f"{count(asked['seeds'], 'seed')}{held_out}.",
            )
        elif analysis == "linear_systems":
            yield Line(
                ASKED,
                "Linear systems",
                f"Recover the known effects of {count(asked['systems'], 'linear system')}, beside "
                "simpler estimators; no screen is used.",
            )
        elif analysis == "predict":
            yield Line(ASKED, "Predictions", "Predict combinations that nobody measured.")
        else:
            words = analysis.replace("_", " ")
            yield Line(ASKED, words.capitalize(), f"The analysis {words}; see its section.")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
