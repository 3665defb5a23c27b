"""The target that says how long a run takes, before anything runs."""

import re


def test_the_time_is_told_and_nothing_is_made(new_project) -> None:
    project = new_project("tiny.yaml")
    planned = [job.rule for job in project.plan("all")]
    text = project.run("estimate_time", "--cores", "1", "--quiet", "all")
    for stage, rule in {"priors": "lcd_fit_prior", "drifts": "lcd_fit_drift"}.items():
        line = re.search(rf"^{stage} +(\d+) .* measured$", text, re.M)
        assert line is not None, text
        assert int(line[1]) == planned.count(rule)
    assert re.search(r"^In all about \d+ (s|min): ", text, re.M), text
    assert not project.files("results/**/*")
