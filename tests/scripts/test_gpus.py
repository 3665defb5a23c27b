"""Jobs beside each other take different GPUs, which come free when they end, however they end."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.gpus import VISIBLE, own_gpu, visible_gpus

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)
    return tmp_path


def test_each_takes_the_gpu_with_the_fewest_jobs() -> None:
    with ExitStack() as jobs:
        taken = [jobs.enter_context(own_gpu("auto", ["a", "b", "c"])) for _ in range(5)]
        assert taken == ["a", "b", "c", "a", "b"]
        assert os.environ[VISIBLE] == "b"
    assert VISIBLE not in os.environ
    with own_gpu("cuda", ["a", "b", "c"]) as gpu:
        assert gpu == "a"


def test_the_one_that_comes_free_is_taken_next() -> None:
    with own_gpu("auto", ["a", "b"]):
        with own_gpu("auto", ["a", "b"]) as second:
            assert second == "b"
        with own_gpu("auto", ["a", "b"]) as third:
            assert third == "b"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", ["a", "b"]), ("auto", ["a"]), ("auto", [])])
def test_where_there_is_no_choice_nothing_changes(
    device: str, gpus: list[str], folder: Path
) -> None:
    with own_gpu(device, gpus) as gpu:
        assert gpu is None
        assert VISIBLE not in os.environ
    assert not list(folder.iterdir())


def test_what_a_scheduler_says_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "GPU-1, GPU-2")
    assert visible_gpus() == ["GPU-1", "GPU-2"]
    with own_gpu("auto") as gpu:
        assert gpu == "GPU-1"
    assert os.environ[VISIBLE] == "GPU-1, GPU-2"
    monkeypatch.setenv(VISIBLE, "")
    assert visible_gpus() == []


def test_gpus_are_asked_for_by_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$1" = --query-gpu=uuid ] && printf "GPU-1\\nGPU-2\\n"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert visible_gpus() == ["GPU-1", "GPU-2"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert visible_gpus() == []


def test_a_job_that_is_killed_gives_its_gpu_back(folder: Path) -> None:
    code = (
        "import sys, time, tempfile; from pipeline.gpus import own_gpu\n"
        f"tempfile.tempdir = {str(folder)!r}\n"
        "with own_gpu('auto', ['a', 'b']) as gpu: print(gpu, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    job = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert job.stdout is not None
        assert job.stdout.readline() == b"a\n"
        with own_gpu("auto", ["a", "b"]) as gpu:
            assert gpu == "b"
    finally:
        job.kill()
        job.communicate()
    with own_gpu("auto", ["a", "b"]) as gpu:
        assert gpu == "a"


def take(barrier, results) -> None:
    with own_gpu("auto", ["a", "b", "c", "d"]) as gpu:
        barrier.wait(30)  # nobody leaves before all have one
        results.put(gpu)


def test_jobs_that_start_together_share_nothing() -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    jobs = [context.Process(target=take, args=(barrier, results)) for _ in range(4)]
    for job in jobs:
        job.start()
    assert sorted(results.get(timeout=30) for _ in jobs) == ["a", "b", "c", "d"]
    for job in jobs:
        job.join()
