"""What a cluster offers, what jobs need, and what is said where the two do not meet."""

import os
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
import yte
from hypothesis import given
from hypothesis import strategies as st

from cluster import check_cluster
from lcd_core.errors import InputError
from pipeline import cluster
from pipeline.cluster import Need, WaitingJobs, holds, minutes_of, need_of, problem, read_sinfo
from tests.workflow.project import REPOSITORY, copy_project

SINFO = """\
c1|short*|up|1:00:00|8000|4|(null)|idle
c2|short*|up|1:00:00|16000+|8+|(null)|mixed
c1|long|up|7-00:00:00|8000|4|(null)|idle
g1|gpu|up|1-12:00:00|64000|16|gpu:a100:2(S:0-1),lustre:1|allocated
g2|gpu|up|1-12:00:00|64000|16|gpu:v100:4|drained
old|closed|down|infinite|8000|4|(null)|down*
new|closed|down|infinite|N/A|4|(null)|unknown
what some site's wrapper says
"""
NODES = read_sinfo(SINFO)


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("30", 1), ("2:00", 2), ("1:30:00", 90), ("2-00:00:00", 2880), ("infinite", None)],
)
def test_time_limits(limit: str, minutes: int | None) -> None:
    assert minutes_of(limit) == minutes


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59))
def test_time_limits_are_read_as_slurm_writes_them(days: int, hours: int, minutes: int) -> None:
    text = f"{days}-{hours:02}:{minutes:02}:00" if days else f"{hours}:{minutes:02}:00"
    assert minutes_of(text) == days * 1440 + hours * 60 + minutes


def test_nodes_are_read() -> None:
    assert [(node.partition, node.default, node.minutes, node.memory) for node in NODES] == [
        ("short", True, 60, 8000), ("short", True, 60, 16000), ("long", False, 10080, 8000),
        ("gpu", False, 2160, 64000), ("gpu", False, 2160, 64000), ("closed", False, None, 8000),
    ]  # fmt: skip
    assert [node.works for node in NODES] == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("offered", "wanted", "there"),
    [
        ("gpu:a100:2(S:0-1)", "gpu:1", True),
        ("gpu:a100:2(S:0-1)", "gpu:a100:2", True),
        ("gpu:a100:2(S:0-1)", "gpu:3", False),
        ("gpu:a100:2", "gpu:v100:1", False),
        ("gpu:a100:1,gpu:v100:1", "gpu:2", True),
        ("gpu:a100:1(S:0,1),lustre:1", "gpu,lustre:1", True),
        ("gpu", "gpu:1", True),
        ("", "gpu:1", False),
    ],
)
def test_generic_resources(offered: str, wanted: str, there: bool) -> None:
    assert holds(offered, wanted) is there


def test_needs_are_read_from_resources() -> None:
    resources = {"slurm_partition": "a,b", "runtime": 90, "mem_mb": 4000, "gres": "gpu:1"}
    assert need_of("fit", 2, resources) == Need("fit", ("a", "b"), 90, 4000, 2, "gpu:1")
    assert need_of("fit", 1, {"gpu": 2, "gpu_model": "a100"}).gres == "gpu:a100:2"
    assert need_of("fit", 1, {"gpu": 2, "cpus_per_task": 4}) == Need(
        "fit", gres="gpu:2", processors=4
    )


FITS = [
    Need("r", minutes=60, memory=8000),
    Need("r", minutes=60, memory=16000, processors=8),
    Need("r", ("long",), minutes=10080),
    Need("r", ("short", "long"), minutes=10080),
    Need("r", ("gpu",), minutes=2160, gres="gpu:v100:4"),  # drained nodes come back
    Need("r", ("closed",), minutes=10**6),  # so do partitions
    Need("r"),
]


@pytest.mark.parametrize("need", FITS, ids=str)
def test_what_can_start_is_left_alone(need: Need) -> None:
    assert problem(need, NODES) is None


@pytest.mark.parametrize(
    ("need", "key", "found", "remedy"),
    [
        (Need("r", minutes=61), "cpu.minutes", "short allows 60", "set cpu.minutes to 60"),
        (Need("r", ("gpu",), 2161, gres="gpu:1"), "gpu.minutes", "2160", "set gpu.minutes to 2160"),
        (Need("r", ("lnog",)), "cpu.partition", "closed, gpu, long, short", "one of them"),
        (Need("r", ("long",), memory=9000), "cpu.memory", "at most 8000 MB", "memory to 8000"),
        (Need("r", ("long",), processors=5), "cpu.partition", "at most 4", "threads.fit"),
        (Need("r", gres="gpu:1"), "gpu.partition", "gpu:a100:2", "gpu.partition to gpu"),
        (Need("r", ("gpu",), gres="gpu:h100:1"), "gpu.gres", "gpu:v100:4", "gpu.gres to what"),
        (Need("r", ("gpu",), memory=10**6, gres="gpu:1"), "gpu.memory", "64000", "64000"),
    ],
)  # fmt: skip
def test_what_can_never_start_names_its_key(need: Need, key: str, found: str, remedy: str) -> None:
    error = problem(need, NODES)
    assert error is not None
    assert error.where is not None
    assert error.where.startswith("slurm/config.yaml, ")
    assert key in error.where
    assert found in str(error.found)
    assert remedy in str(error.remedy)


def test_a_rule_is_described_where_the_profile_says() -> None:
    """Without GPUs, too, rules under `gpu` go to its partition."""
    need = need_of("fit", 1, {"slurm_partition": "lnog", "described_by_gpu": 1})
    error = problem(need, NODES)
    assert error is not None
    assert error.where == "slurm/config.yaml, gpu.partition"
    assert need_of("fit", 1, {"described_by_gpu": 0, "gres": "gpu:1"}).kind == "cpu"


def test_what_is_no_gpu_is_not_described_by_its_line() -> None:
    """Where no profile says it, in those of users."""
    error = problem(need_of("r", 1, {"gres": "lustre:1", "slurm_partition": "lnog"}), NODES)
    assert error is not None
    assert error.where == "slurm/config.yaml, cpu.partition"


def test_a_remedy_is_one() -> None:
    """What the messages say to set makes the job fit."""
    assert problem(Need("r", minutes=60), NODES) is None
    assert problem(Need("r", ("long",), memory=8000), NODES) is None
    assert problem(Need("r", ("gpu",), gres="gpu:1"), NODES) is None


def test_a_cluster_without_a_default_partition() -> None:
    error = problem(Need("r"), [node for node in NODES if not node.default])
    assert error is not None
    assert "no a default" not in str(error)
    assert "closed, gpu, long" in str(error)


def test_one_cause_is_told_once_with_all_its_rules() -> None:
    needs = [Need("a", minutes=90), Need("b", minutes=120), Need("c", ("lnog",)), Need("d")]
    errors = cluster.problems(needs, NODES)
    assert len(errors) == 2
    assert "likewise b" in str(errors[0])


def job(rule: str, is_local: bool = False, **resources: object) -> SimpleNamespace:
    return SimpleNamespace(
        rule=SimpleNamespace(name=rule), threads=1, resources=resources, is_local=is_local
    )


def test_jobs_are_compared_before_they_are_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("fits", runtime=60), job("waits", runtime=600), job("beside", True, runtime=6000)]
    monkeypatch.setattr(cluster, "ask", lambda command: SINFO)
    with pytest.raises(InputError, match="waits asks for 600 minutes") as raised:
        cluster.refuse_what_cannot_start(jobs)
    assert "beside" not in str(raised.value)
    cluster.refuse_what_cannot_start(jobs[:1])
    monkeypatch.setattr(cluster, "ask", lambda command: None)
    cluster.refuse_what_cannot_start(jobs)  # nothing is known, so nothing is refused


def test_no_slurm_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.ask(("no-such-command-of-slurm",)) is None
    assert cluster.ask(("false",)) is None
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    assert cluster.ask(("sleep", "5")) is None


def test_jobs_that_wait_in_vain_are_told_once() -> None:
    told: list[str] = []
    here = os.getcwd()
    jobs = WaitingJobs(here, told.append)
    lines = [
        f"7|(PartitionTimeLimit)|gpu|gres:gpu:1|{here}|rule_lcd_fit_prior_wildcards_1_default",
        f"8|(PartitionTimeLimit)|gpu|gres:gpu:1|{here}|rule_lcd_fit_prior_wildcards_2_default",
        f"9|(Resources)|cpu|N/A|{here}|rule_make_folds",
        f"10|(QOSMaxWallDurationPerJobLimit)|cpu|N/A|{here}|rule_a|b",
        f"11|(AssocMaxJobsLimit)|cpu|N/A|{here}|rule_c",
        "12|(PartitionTimeLimit)|gpu|N/A|/somewhere/else|rule_other",
        f"13|(ReqNodeNotAvail, UnavailableNodes:g1)|gpu|gres:gpu:1|{here}|rule_d",
        "the second line of somebody's comment",
        "",
    ]
    for _ in range(2):
        jobs.look("\n".join(lines))
    assert len(told) == 3
    assert "Job 7 (lcd_fit_prior)" in told[0]
    assert "set gpu.minutes" in told[0]
    assert "Job 10 (a|b)" in told[1]
    assert "cpu.minutes" in told[1]
    assert "Job 13 (d)" in told[2]


def test_what_waits_is_described_where_the_profile_says() -> None:
    told: list[str] = []
    here = os.getcwd()
    line = f"7|(PartitionTimeLimit)|long|N/A|{here}|rule_lcd_fit_prior_wildcards_1_default"
    WaitingJobs(here, told.append, {"lcd_fit_prior": "gpu"}).look(line)
    assert "set gpu.minutes" in told[0]


def test_the_watch_asks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["", f"7|(JobHeldUser)|cpu|N/A|{os.getcwd()}|rule_a"])
    done = threading.Event()

    def answer(command: object) -> str | None:
        following = next(answers, None)
        if following is None:
            done.set()
        return following

    monkeypatch.setattr(cluster, "ask", answer)
    told: list[str] = []
    end = WaitingJobs(os.getcwd(), told.append).watch(interval=0.01)
    assert done.wait(10)
    end.set()
    for thread in threading.enumerate():
        if thread.name == "waiting jobs":
            thread.join(10)
            assert not thread.is_alive()
    assert len(told) == 1
    assert "scontrol release 7" in told[0]


@pytest.mark.parametrize(("name", "check"), [("local", True), ("slurm", False)])
def test_nothing_is_asked_elsewhere(
    monkeypatch: pytest.MonkeyPatch, name: str, check: bool
) -> None:
    monkeypatch.setattr(cluster, "ask", lambda command: pytest.fail("asked"))
    workflow = SimpleNamespace(executor_plugin=SimpleNamespace(name=name))
    cluster.watch_cluster(workflow, check)


# --- the profile ----------------------------------------------------------------------------------


def process_profile(top: dict[str, object]) -> object:
    """Read the profile with other values at its top, as Snakemake does."""
    given = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    for name, value in top.items():
        own = given["__variables__"]
        own[name] = own[name] | value if isinstance(value, dict) and value else value
    return yte.process_yaml(yaml.safe_dump(given, sort_keys=False))


MISTAKES = [
    ({"cpu": {"minutes": 0}}, "cpu.minutes", "0", "such as minutes: 240"),
    ({"cpu": {"minutes": "4h"}}, "cpu.minutes", '"4h"', "such as minutes: 240"),
    ({"gpu": {"memory": -5}}, "gpu.memory", "-5", "such as memory: 64000"),
    ({"gpu": {"memory": "64G"}}, "gpu.memory", '"64G"', "such as memory: 64000"),
    ({"gpu": {"memory": True}}, "gpu.memory", "true", "such as memory: 64000"),
    ({"gpu": {"partition": ["a", "b"]}}, "gpu.partition", '["a", "b"]', "commas between"),
    ({"cpu": {"account": 12}}, "cpu.account", "12", 'write account: "..."'),
    ({"cpu": {"constraint": "a"}}, "cpu: there is no key constraint", '"a"', "the keys are part"),
    ({"cpu": {"gres": "tmp:1"}}, "cpu: there is no key gres", "tmp:1", "the keys are partition"),
    ({"gpu": {}}, "gpu: missing: minutes, memory, gres", "{}", "the keys are partition"),
    ({"gpu": None}, "gpu: this has no keys", "null", "give it the keys partition"),
    ({"default": 4000}, "default", "4000", "write [MB, minutes]"),
    ({"default": [4000, 60, 1]}, "default", "[4000, 60, 1]", "write [MB, minutes]"),
    ({"rules": {"gpus": {}}}, "rules: there is no key gpus", "gpus", "the keys are cpu, gpu"),
    ({"rules": {"cpu": None}}, "rules.cpu", "null", "write {} for none"),
    ({"rules": {"gpu": {"fit": ["16G", 60]}}}, "rules.gpu.fit", '["16G", 60]', "write [MB, min"),
    ({"rules": {"gpu": {"select_genes": [1, 1]}}}, "rules", "select_genes", "leave each"),
]


@pytest.mark.parametrize(("top", "key", "found", "remedy"), MISTAKES, ids=str)
def test_mistakes_in_the_profile_name_their_key(
    top: dict[str, object], key: str, found: str, remedy: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        process_profile(top)
    first, second, third = str(raised.value).split("\n")
    assert first.startswith(f"slurm/config.yaml, {key}")
    assert second.startswith("  found:  ")
    assert found in second
    assert third.startswith("  remedy: ")
    assert remedy in third


def test_a_profile_as_users_write_it_is_read() -> None:
    limits = {"partition": "a,b", "account": "us", "qos": "high", "minutes": 240, "memory": 64000}
    process_profile({"cpu": limits, "gpu": limits | {"gres": None}, "default": [1, 1]})
    given = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    given["__variables__"]["cpu"] = {"minutes": None, "memory": 8000}
    profile = yte.process_yaml(yaml.safe_dump(given, sort_keys=False))
    assert profile["default-resources"]["mem_mb"] == "min(4000 * attempt, 8000)"


@pytest.mark.parametrize("key", ["minutes", "memory", "gres"])
def test_a_forgotten_key_is_not_null(key: str) -> None:
    given = yaml.safe_load((REPOSITORY / "slurm/config.yaml").read_text(encoding="utf-8"))
    del given["__variables__"]["gpu"][key]
    with pytest.raises(SystemExit, match=f"gpu: missing: {key}\n"):
        yte.process_yaml(yaml.safe_dump(given, sort_keys=False))


def workflow(tmp_path: Path, **settings: object) -> SimpleNamespace:
    """A workflow of two rules, of which one is defined under other configurations alone."""
    path = tmp_path / "some.smk"
    path.write_text("rule here:\n    output: 'a'\nif HAS_TERMS:\n\n    rule elsewhere:\n")
    given = {"overwrite_resources": {}, "overwrite_threads": {}} | settings
    rules = [SimpleNamespace(name="here"), SimpleNamespace(name="lcd_fit_prior")]
    return SimpleNamespace(
        included=[path],
        rules=rules,
        resource_settings=SimpleNamespace(**given),
        executor_plugin=SimpleNamespace(name="slurm"),
    )


@pytest.mark.parametrize(
    ("profile", "mark"),
    [("slurm", {"described_by_gpu": 0}), ("profiles/gpus", {"in_profiles_gpus": 1})],
)
def test_names_that_are_no_rules_are_refused(
    tmp_path: Path, profile: str, mark: dict[str, int]
) -> None:
    known: dict[str, object] = {"here": mark, "elsewhere": mark, "lcd_fit_prior": mark}
    cluster.refuse_unknown_rules(
        workflow(tmp_path, overwrite_resources=known, overwrite_threads=known)
    )
    for setting in ("overwrite_resources", "overwrite_threads"):
        given = {"overwrite_resources": known} | {setting: known | {"lcd_fit_priors": mark}}
        with pytest.raises(InputError, match="did you mean lcd_fit_prior") as raised:
            cluster.refuse_unknown_rules(workflow(tmp_path, **given))
        assert raised.value.found == "lcd_fit_priors"
        assert str(raised.value.where).startswith(f"{profile}/config.yaml, rules")


@pytest.mark.parametrize(
    "plugin", [None, SimpleNamespace(name="local"), SimpleNamespace(name="slurm")], ids=str
)
def test_profiles_for_all_workflows_of_a_user_are_not_looked_at(
    tmp_path: Path, plugin: SimpleNamespace | None
) -> None:
    given = {"bwa_mem": {"mem_mb": 8000, "gpu": 1}, "here": {"runtime": 60}}
    own = workflow(tmp_path, overwrite_resources=given, overwrite_threads={"bwa_mem": 4})
    own.executor_plugin = plugin
    cluster.refuse_unknown_rules(own)


def test_a_run_without_jobs_on_a_cluster_is_no_approval() -> None:
    with pytest.raises(InputError, match="no job of this run goes to a cluster") as raised:
        check_cluster.main(needs=[])
    assert raised.value.remedy == "snakemake --profile slurm check_cluster"


@pytest.mark.workflow
@pytest.mark.parametrize("profile", ["slurm", "profiles/gpus"])
def test_a_misspelt_rule_ends_the_run_before_its_first_job(tmp_path: Path, profile: str) -> None:
    project = copy_project(tmp_path / "project")
    path = project.folder / profile / "config.yaml"
    text = path.read_text()
    path.write_text(re.sub(r"\blcd_fit_prior\b", "lcd_fit_priors", text))
    done = project.snakemake("--profile", profile, "check_cluster")
    assert done.returncode != 0
    assert "did you mean lcd_fit_prior?" in done.stdout
    assert f"{profile}/config.yaml, rules" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "logs/default/check_cluster.log").exists()
