"""What makes results stale, and what does not."""

import os
import re
import shutil

from tests.workflow.project import Job, Project

NOTHING = "Nothing to be done"
BEFORE_THE_FOLDS = {
    Job("simulate_screen", ""),
    Job("import_screen", ""),
    Job("filter_screen", ""),
    Job("differential_expression", ""),
    Job("summarise_perturbations", ""),
    Job("draw_differential_expression", ""),
    Job("write_differential_expression_html", ""),
    Job("make_folds", ""),
}
SETTINGS = "write_settings"


def rules(jobs: set[Job]) -> set[str]:
    return {job.rule for job in jobs}


def is_of_fold(job: Job, fold: str) -> bool:
    return f"fold={fold}" in job.wildcards.split(", ")


def append(project: Project, path: str, text: str) -> None:
    with open(project.folder / path, "a") as file:
        file.write(text)


def test_a_finished_run_leaves_nothing_to_do(tiny_copy) -> None:
    assert NOTHING in tiny_copy.run("all", "--cores", "2")


def test_every_result_is_under_the_name_of_the_run(tiny_run) -> None:
    assert {path.name for path in (tiny_run.folder / "results").iterdir()} == {"tiny"}
    assert {path.name for path in (tiny_run.folder / "logs").iterdir()} == {"tiny"}
    temporary = [path for path in tiny_run.files("results/**/*") if "/." in path]
    assert not temporary


def test_a_deleted_fold_is_rebuilt_alone_and_as_it_was(tiny_run, tiny_copy) -> None:
    complete = tiny_copy.plan("all", "--forceall")
    assert complete > BEFORE_THE_FOLDS
    shutil.rmtree(tiny_copy.folder / "results/tiny/folds/2")
    rebuilt = tiny_copy.plan("all")
    of_fold = {job for job in complete if is_of_fold(job, "2")}
    aggregates = {job for job in complete if "fold=" not in job.wildcards} - BEFORE_THE_FOLDS
    aggregates = {job for job in aggregates if job.rule != SETTINGS}
    assert {"lcd_fit_prior", "lcd_fit_drift", "lcd_predict", "compute_metrics"} < rules(of_fold)
    assert Job("aggregate_metrics", "") in aggregates
    assert rebuilt == of_fold | aggregates

    tables = sorted(tiny_run.files("results/tiny/**/*.tsv"))
    tiny_copy.run(*tables, "--cores", "1")
    assert different_results(tiny_run, tiny_copy, "results/tiny/**/*") == []


def test_one_core_gives_the_same_bytes_as_two(tiny_run, new_project) -> None:
    # The other fold and the tables over all folds are compared above.
    project = new_project("tiny.yaml")
    tables = tiny_run.files("results/tiny/folds/1/**/*.tsv")
    tables |= tiny_run.files("results/tiny/screen/*.tsv")
    project.run(*sorted(tables), "--cores", "1")
    for pattern in ("simulation/*", "screen/*", "folds/folds.tsv", "folds/1/**/*"):
        assert different_results(tiny_run, project, f"results/tiny/{pattern}") == []


def different_results(expected: Project, actual: Project, pattern: str) -> list[str]:
    """Compare tables, cells and models byte by byte, times aside; figures are left out."""
    kinds = (".tsv", ".h5ad", ".safetensors", ".json", ".txt", ".gmt")
    files = [path for path in expected.files(pattern) if path.endswith(kinds)]
    assert files
    return [path for path in files if content(expected, path) != content(actual, path)]


def content(project: Project, path: str) -> bytes:
    data = (project.folder / path).read_bytes()
    if not path.endswith("/log.tsv"):
        return data
    rows = [line.split(b"\t") for line in data.splitlines()]
    seconds = rows[0].index(b"seconds")  # time is all that may differ in the course of a fit
    return b"\n".join(b"\t".join(row[:seconds] + row[seconds + 1 :]) for row in rows)


def test_another_seed_reruns_everything_that_is_random(tiny_copy) -> None:
    jobs = tiny_copy.plan("all", "--config", "seed=2")
    assert {"simulate_screen", "make_folds", "lcd_fit_prior", "lcd_fit_drift"} < rules(jobs)


def test_edited_code_makes_stale_what_uses_it_until_the_edit_is_undone(tiny_copy) -> None:
    drift = tiny_copy.folder / "lcd_core" / "drift.py"
    original = drift.read_bytes()
    append(tiny_copy, "lcd_core/drift.py", "# edited\n")
    stale = tiny_copy.plan("all")
    both = ("fold=1, variant=default", "fold=2, variant=default")
    assert {Job("lcd_fit_drift", wildcards) for wildcards in both} < stale
    assert {Job("compute_metrics", f"fold={fold}") for fold in (1, 2)} < stale
    assert BEFORE_THE_FOLDS.isdisjoint(stale)
    assert rules(stale).isdisjoint({"select_genes", "lcd_fit_prior", "predict_quickly"})
    drift.write_bytes(original)  # with a new modification time, as after switching branches
    assert not tiny_copy.plan("all")


def test_an_edited_script_makes_its_rule_stale(tiny_copy) -> None:
    append(tiny_copy, "workflow/methods/salt/predict.py", "# edited\n")
    stale = tiny_copy.plan("all")
    assert {Job("predict_quickly", f"fold={fold}") for fold in (1, 2)} < stale
    untouched = {"select_genes", "lcd_fit_prior", "lcd_fit_drift", "lcd_predict"}
    assert rules(stale).isdisjoint(untouched)


def test_touched_files_leave_nothing_to_do(tiny_copy) -> None:
    code = ("lcd_core/**/*", "workflow/**/*", "config/*", "profiles/**/*", "Snakefile", "tiny.yaml")
    for pattern in (*code, "results/tiny/screen/*", "results/tiny/folds/1/**/*"):
        touched = tiny_copy.files(pattern)
        assert touched, pattern
        for path in touched:
            os.utime(tiny_copy.folder / path)
    assert not tiny_copy.plan("all")


def test_a_changed_setting_reruns_what_depends_on_it(tiny_copy) -> None:
    tiny_copy.configure_lcd("drift", steps=31)
    plan = tiny_copy.plan("all")
    assert {"lcd_fit_drift", "lcd_predict", "lcd_check_fits", "aggregate_metrics"} < rules(plan)
    untouched = {"simulate_screen", "select_genes", "lcd_fit_prior", "predict_quickly"}
    assert rules(plan).isdisjoint(untouched)
    written = [job.wildcards for job in plan if job.rule == SETTINGS]
    assert written == ["method=lcd, settings_name=default, program=fit_drift"]


def test_comments_and_order_in_the_configuration_do_not_count(tiny_copy) -> None:
    path = tiny_copy.folder / "tiny.yaml"
    blocks = re.split(r"\n\n(?=\S)", path.read_text())
    path.write_text("# Another comment.\n" + "\n\n".join(reversed(blocks)) + "\n")
    assert not tiny_copy.plan("all")


def test_another_interval_of_checkpoints_reruns_nothing(tiny_copy) -> None:
    tiny_copy.configure("checkpoints", interval=5)
    assert not tiny_copy.plan("all")
