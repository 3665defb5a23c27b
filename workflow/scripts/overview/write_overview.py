"""The front page of the report, and the overview of a run as a page of its own."""

import html
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import lcd_core
from lcd_core.atomic import atomic
from overview.lines import ASKED, DATA, DOUBT, PARTS, RESULT
from pipeline.html_tables import Column, count, number, page, section, table, text, write_page
from pipeline.tables import read_tsv

TITLES = {
    ASKED: "What was asked",
    DATA: "The data",
    RESULT: "What came out",
    DOUBT: "What to doubt",
}
NOTHING = {
    DOUBT: "Nothing that these checks look for was found; they do not replace the figures.",
}
NAMES_SHOWN = 8
PACKAGES = ("torch", "numpy", "scipy", "pandas", "anndata", "scanpy", "snakemake", "scikit-learn")
SECTIONS = {
    "Benchmark": "predictions beside the held-out cells, other methods, control cells and the "
    "noise ceiling",
    "Causal effects": "direct effects, modules and their gene sets, and how often effects hold",
    "Fits": "whether priors and drift have learned the training conditions; the place to look "
    "first when predictions disappoint",
    "Interactions": "genetic interactions of held-out pairs, observed and predicted",
    "Linear systems": "effects of systems whose truth is known, and how well they are recovered",
    "Overview": "this page with all names, cells per condition, versions, times and settings",
    "Predictions": "combinations that nobody measured",
    "Screen": "what the perturbations change, and whether they moved their own genes",
}
DOUBTS = [
    Column("about", "About", text, True),
    Column("text", "Finding", text, True),
    Column("names", "Which", text, True),
    Column("advice", "What to do", text, True),
]
CONDITIONS = [
    Column("perturbation", "Condition", text, True),
    Column("n_targets", "Targets", count),
    Column("n_cells", "Cells", count),
    Column("singles_measured", "Singles measured", count),
]
QUALITY = [
    Column("step", "Filter", text, True),
    Column("setting", "Threshold", number),
    Column("unit", "Of", text, True),
    Column("before", "Before", count),
    Column("removed", "Removed", count),
    Column("after", "After", count),
]
STAGES = [
    Column("stage", "Stage", text, True),
    Column("jobs", "Jobs", count),
    Column("seconds", "Seconds, sum", number),
    Column("longest", "Longest job", number),
    Column("memory", "Most memory [MB]", number),
]
PROVENANCE = [Column("what", "What", text, True), Column("value", "Value", text, True)]
STYLE = """
#app .prose.max-w-lg { max-width: 50rem; }
#app div:has(> div > .prose.max-w-lg) { flex-wrap: wrap; }
#app .grow:has(.overview) { align-items: flex-start; }
.overview h1 { font-size: 1.5em; margin: 0 0 .4em; }
.overview h2 { font-size: 1.15em; margin: 1.3em 0 .3em; }
.overview ul { margin: .2em 0; }
.overview li { margin: .35em 0; }
.overview b { font-weight: 600; }
.overview .names, .overview .advice { color: #555; }
.overview .doubts li::marker { content: "\\26A0\\00A0"; }
.overview a { cursor: pointer; }
"""
IN_REPORT = (".svg", ".html")
"""Figures and pages, all of which are in the report; tables of numbers are not."""
VIEW = (
    "const r=results[this.dataset.file];if(r){app.setView({navbarMode:'resultinfo',"
    "content:r.mime_type.startsWith('image')?'img':'html',contentPath:r.data_uri,"
    "resultPath:this.dataset.file})}return false"
)
"""Shows a result of the report, whose page knows all of them as ``results``."""


def main(
    *,
    overview: str,
    overview_page: str,
    front_page: str,
    run: str,
    benchmarks: str,
    settings: str,
    seed: int,
    sections: Sequence[str],
    conditions: str | None = None,
    quality_control: str | None = None,
) -> None:
    """Write both pages from the lines of the run.

    Parameters
    ----------
    overview
        TSV of :mod:`overview.summarise_run`.
    overview_page
        HTML page to write: all lines with all names, cells per condition, quality control,
        versions, times and settings.
    front_page
        HTML to write that the report shows first, a part of a page.
    run
        Name of the run, whose results are in ``results/<run>``.
    benchmarks
        Folder with Snakemake's tables of times, where there are any.
    settings
        The configuration as it was given, as YAML.
    seed
        Root seed.
    sections
        Sections of the report of this run.
    conditions, quality_control
        Tables of the screen, where there is one.
    """
    lines = read_tsv(overview, dtype=str).fillna("")
    with atomic(front_page) as temporary:
        content = front(lines, run, f"results/{run}", sections)
        temporary.write_text(content, encoding="utf-8", newline="\n")
    parts = [of_part(lines, part) for part in PARTS if part != DOUBT]
    doubts = lines[lines["part"] == DOUBT]
    parts.insert(
        0,
        section(
            TITLES[DOUBT], "found by rules, in the tables of the run", table(DOUBTS, doubts)
        ),
    )  # fmt: skip
    if conditions:
        rows = read_tsv(conditions, dtype={"perturbation": str})
        parts.append(
            section("Cells per condition", "after quality control", table(CONDITIONS, rows))
        )
    if quality_control:
        rows = read_tsv(quality_control, dtype={"step": str, "unit": str})
        parts.append(section("Quality control", "in the order applied", table(QUALITY, rows)))
    times = stage_times(benchmarks)
    if len(times):
        parts.append(
            section(
                "Times",
                "of the jobs of this run that Snakemake has measured, most time first; jobs that "
                "ran beside each other count in full",
                table(STAGES, times),
            )
        )
    parts.append(
        section("Provenance", "what made these results", table(PROVENANCE, provenance(run, seed)))
    )
    parts.append(
        section(
            "Settings",
            "as they were given; all others have the defaults of config/README.md",
            f"<pre>{html.escape(settings)}</pre>",
        )
    )
    introduction = "What was asked of this run, what came out, and what to doubt about it."
    write_page(page(f"Run {run}", introduction, parts), overview_page)


def front(lines: pd.DataFrame, run: str, results: str, sections: Sequence[str]) -> str:
    """The part of a page that the report shows first."""
    parts = [f'<div class="overview"><style>{STYLE}</style>', f"<h1>Run {html.escape(run)}</h1>"]
    for part in PARTS:
        own = lines[lines["part"] == part]
        if own.empty and part not in NOTHING:
            continue
        parts.append(f"<h2>{TITLES[part]}</h2>")
        if own.empty:
            parts.append(f"<p>{NOTHING[part]}</p>")
            continue
        parts.append('<ul class="doubts">' if part == DOUBT else "<ul>")
        parts += [item(line, results) for line in own.to_dict("records")]
        parts.append("</ul>")
    parts.append("<h2>Where to look</h2>\n<ul>")
    for name in sections:
        shown = html.escape(name)
        parts.append(
            f"<li><a onclick=\"app.showCategory('{shown}');return false\"><b>{shown}</b></a>: "
            f"{SECTIONS.get(name, 'results of this analysis')}</li>"
        )
    parts.append(
        "</ul>\n<p>Every figure and table has a description behind its information sign. The "
        "tables are TSV files under <code>" + html.escape(results) + "/</code>; docs/outputs.md "
        f"describes each column. Made with lcd-pipeline {lcd_core.__version__}, root seed and "
        "settings as in <b>Overview</b>.</p></div>\n"
    )
    return "\n".join(parts)


def item(line: Mapping[str, Any], results: str) -> str:
    """One line, with what shows it, the first of its names, and what to do."""
    about, said = html.escape(line["about"]), html.escape(line["text"])
    parts = [f"<b>{about}.</b> {said}"]
    if line["names"]:
        parts.append(f'<span class="names">{html.escape(shortened(line["names"]))}.</span>')
    if line["advice"]:
        advice = line["advice"]
        advice = html.escape(advice[0].upper() + advice[1:])
        parts.append(f'<span class="advice"><i>{advice}.</i></span>')
    if Path(line["file"]).suffix in IN_REPORT:
        path = html.escape(f"{results}/{line['file']}", quote=True)
        parts.append(f'<a data-file="{path}" onclick="{html.escape(VIEW)}">Show</a>')
    return f"<li>{' '.join(parts)}</li>"


def shortened(names: str) -> str:
    """Return the first names, and the number of the others."""
    each = names.split(", ")
    more = len(each) - NAMES_SHOWN
    return names if more <= 1 else f"{', '.join(each[:NAMES_SHOWN])} and {more:,} more"


def of_part(lines: pd.DataFrame, part: str) -> str:
    """Lines of one part as a table."""
    own = lines[lines["part"] == part]
    columns = [
        Column("about", "About", text, True),
        Column("text", TITLES[part], text, True),
        *([Column("names", "Which", text, True)] if own["names"].any() else []),
        *([Column("file", "File", text, True)] if own["file"].any() else []),
    ]
    return section(TITLES[part], "", table(columns, own))


def stage_times(folder: str) -> pd.DataFrame:
    """Times of the jobs by stage, from Snakemake's tables under a folder.

    A stage is a rule; the folders of fold, method and variant in which its tables lie are its
    wildcards.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        if path.name.startswith("."):
            continue
        measured = pd.read_csv(path, sep="\t", na_values=["-"])
        if "s" not in measured or measured.empty:
            continue
        parents = path.relative_to(folder).parts[:-1]
        method = f"{parents[2]}, " if parents[:1] == ("folds",) and len(parents) == 4 else ""
        rows.append(
            {
                "stage": f"{method}{path.stem.replace('_', ' ')}",
                "seconds": measured["s"].iloc[-1],
                "memory": measured["max_rss"].iloc[-1],
            }
        )
    if not rows:
        return pd.DataFrame(columns=["stage", "jobs", "seconds", "longest", "memory"])
    by_stage = pd.DataFrame(rows).groupby("stage")
    times = pd.DataFrame(
        {
            "jobs": by_stage.size(),
            "seconds": by_stage["seconds"].sum(),
            "longest": by_stage["seconds"].max(),
            "memory": by_stage["memory"].max(),
        }
    )
    return times.reset_index().sort_values("seconds", ascending=False, ignore_index=True)


def provenance(run: str, seed: int) -> pd.DataFrame:
    """Versions and seed."""
    rows = [
        ("run", run),
        ("root seed", str(seed)),
        ("lcd-pipeline", lcd_core.__version__),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}"),
    ]
    for name in PACKAGES:
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # an environment of a tool has not all of them
    return pd.DataFrame(rows, columns=["what", "value"])


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
