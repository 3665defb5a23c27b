"""Speed and memory of the log-likelihood matrix against its written-out form.

Forward and backward, float32, one thread count for both, each form in a process of its own so
that the peak memory is its own. Run with ``python benchmarks/likelihood.py``.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from lcd_core.measurement import CountFeatures, log_likelihood, log_softplus


def written_out(x, logit_pi, eta, counts, constant):
    """The broadcast form: a (B, M, d) tensor of log-probabilities, summed over genes."""
    y = counts[:, None]
    log_mu = (eta.log() + log_softplus(x))[None]
    a = (torch.nn.functional.logsigmoid(-logit_pi) - eta * torch.nn.functional.softplus(x))[None]
    zero = torch.logaddexp(torch.nn.functional.logsigmoid(logit_pi).expand_as(a), a)
    return torch.where(y > 0, a + y * log_mu - torch.lgamma(y + 1), zero).sum(-1)


def measure(form, b, m, d, repeats, threads):
    """Median seconds of one forward and backward pass, and peak memory in GiB above the start."""
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(m, d, generator=generator).requires_grad_()
    logit_pi = torch.full((d,), -2.0, requires_grad=True)
    eta = torch.full((d,), 3.0)
    counts = torch.poisson(torch.full((b, d), 2.0), generator=generator)
    features, constant = CountFeatures(counts, eta).all()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        if form == "product":
            logp = log_likelihood(x, logit_pi, eta, features, constant)
        else:
            logp = written_out(x, logit_pi, eta, counts, constant)
        loss = torch.logsumexp(logp, dim=1).sum()
        gradients = torch.autograd.grad(loss, [x, logit_pi])
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": sorted(seconds[1:])[repeats // 2],
        "gib": (peak - before) / 2**20,
        "loss": loss.item(),
        "gradient": gradients[0].norm().item(),
    }


def main():
    """Print a table of both forms and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--form", choices=["product", "written_out"], help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.form:
        print(json.dumps(measure(a.form, a.cells, a.states, a.genes, a.repeats, a.threads)))
        return
    results = {}
    for form in ("product", "written_out"):
        command = [sys.executable, __file__, *sys.argv[1:], "--form", form]
        results[form] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    fast, slow = results["product"], results["written_out"]
    print(f"B={a.cells} M={a.states} d={a.genes}, {a.threads} threads, forward and backward")
    print("form         seconds   peak GiB   loss           |gradient|")
    for form, r in results.items():
        values = f"{r['seconds']:<9.4f} {r['gib']:<10.3f} {r['loss']:<14.4f} {r['gradient']:.5g}"
        print(f"{form:12s} {values}")
    print(f"speed ratio {slow['seconds'] / fast['seconds']:.1f}", end=", ")
    print(f"memory ratio {slow['gib'] / max(fast['gib'], 1e-9):.1f}")


if __name__ == "__main__":
    main()
