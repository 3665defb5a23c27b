"""How the suite measures: a process for each form, medians of repeats, floors from rates."""

import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from pipeline.job import set_threads

Run = Callable[[], object]
Prepare = Callable[[str], Run]
"""From a device to what is timed; what it needs is made before the clock starts."""


@dataclass(frozen=True)
class Work:
    """What cannot be avoided, to be held against what the machine can do.

    Attributes
    ----------
    flop, flop64
        Floating point operations of matrix products, single and double precision.
    memory
        Bytes that must be read or written once.
    exponentials, exponentials64
        Values of exp, log and their like.
    """

    flop: float = 0.0
    flop64: float = 0.0
    memory: float = 0.0
    exponentials: float = 0.0
    exponentials64: float = 0.0

    def seconds(self, rates: dict[str, float]) -> float:
        """Least time at the rates of :func:`measure_rates`."""
        return sum(getattr(self, name) / rates[name] for name in rates)


@dataclass(frozen=True)
class Case:
    """Something to be timed.

    Attributes
    ----------
    what
        Name, the same for all its sizes.
    sizes
        What it is done for, by name.
    prepare, reference
        This pipeline's form and the written-out one, if there is one, which ``against`` names.
    work
        See :class:`Work`; nothing where it cannot be counted.
    curve
        Of which size this is a point of the curve; empty for the main table.
    repeats
        Most repeats; fewer once ``seconds`` have passed.
    """

    what: str
    sizes: dict[str, int]
    prepare: Prepare
    reference: Prepare | None = None
    against: str = ""
    work: Work = field(default_factory=Work)
    curve: str = ""
    repeats: int = 15
    seconds: float = 1.0


@dataclass(frozen=True)
class Cost:
    """Median and least seconds, number of repeats, and peak memory in GiB above the start."""

    seconds: float
    least: float
    repeats: int
    gib: float


def clock_of(device: str) -> Callable[[], float]:
    """Time of the processor for one thread, which other programs disturb least; else wall-clock."""
    alone = device == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def peak_memory(device: str) -> int:
    """Largest memory so far, in bytes: of the process, or of the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_here(prepare: Prepare, device: str, repeats: int, seconds: float) -> Cost:
    """Time something in this process: once to warm up, then again and again."""
    run = prepare(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    before = peak_memory(device)

    clock = clock_of(device)

    def once() -> float:
        start = clock()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    first = once()
    if first > 2 * seconds:  # a warm-up would change little
        return Cost(first, first, 1, (peak_memory(device) - before) / 2**30)
    times: list[float] = []
    while len(times) < repeats and (len(times) < 3 or sum(times) < seconds):
        times.append(once())
    gib = (peak_memory(device) - before) / 2**30
    return Cost(statistics.median(times), min(times), len(times), gib)


def in_own_process(function: Callable[..., Any], threads: int, *arguments: object) -> Any:
    """Call a function in a process of its own, whose peak memory is its own too."""
    context = multiprocessing.get_context("fork")  # the libraries are imported once
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        set_threads(threads)  # and all else that the jobs of the workflow set
        try:
            sender.send((True, function(*arguments)))
        except Exception as error:
            sender.send((False, f"{type(error).__name__}: {error}"))

    process = context.Process(target=child)
    process.start()
    sender.close()
    try:
        fine, value = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process ended with exit code {process.exitcode}") from None
    process.join()
    if not fine:
        raise RuntimeError(value)
    return value


def measure_rates(device: str) -> dict[str, float]:
    """What the device does in a second, by the names of :class:`Work`: the best of some tries."""
    clock = clock_of(device)

    def best(run: Run, amount: float, tries: int = 7) -> float:
        run()
        times = []
        for _ in range(tries):
            start = clock()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(clock() - start)
        return amount / min(times)

    found = {}
    for name, dtype in (("flop", torch.float32), ("flop64", torch.float64)):
        size = 4096 if device == "cuda" else 768
        a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
        found[name] = best(partial(torch.mm, a, b, out=torch.empty_like(a)), 2.0 * size**3)
    values = torch.randn(2**24, device=device)
    target = torch.empty_like(values)
    found["memory"] = best(partial(torch.add, values, 1.0, out=target), 2.0 * values.nbytes)
    few = 2**24 if device == "cuda" else 2**14  # of a CPU within its caches
    for name, dtype in (("exponentials", torch.float32), ("exponentials64", torch.float64)):
        x = torch.randn(few, dtype=dtype, device=device)
        found[name] = best(partial(torch.exp, x, out=torch.empty_like(x)), float(few), 50)
    return found


def machine(device: str, threads: int) -> dict[str, object]:
    """Describe the machine, as far as it matters and names nobody."""
    found: dict[str, object] = {
        "device": device,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
