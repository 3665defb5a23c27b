"""Inference step 2: learn the drift of all conditions by denoising score matching (Eq. 12)."""

import torch
from torch import Tensor

from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.training import StepReport, TrainingLog, cosine_learning_rate, run_steps


def fit_drift(
    drift: Drift,
    states: Tensor,
    membership: Tensor,
    *,
    seed: int,
) -> TrainingLog:
    """Train ``drift`` in place on standardised states of all training conditions.

    The loss is the batch mean of ``|| alpha f(s + alpha eps) + eps ||^2``, summed over genes.

    Parameters
    ----------
    drift
        On the device to train on, with the settings of its training; its parameters are drawn anew
        from ``seed``.
    states
        Standardised samples, shape (conditions, samples, d); may stay in host memory when they
        do not fit on the drift's device.
    membership
        Multi-hot conditions, shape (conditions, targets).
    seed
        Seed of the initial parameters and of all draws.

    Raises
    ------
    InputError
        On shapes that do not fit.
    TrainingDiverged
        If the loss stops being finite.
    """
    conditions, samples, genes = states.shape
    if membership.shape != (conditions, drift.embedding.shape[0]):
        raise InputError(
            "membership must be conditions x targets",
            found=f"{tuple(membership.shape)} for {conditions} conditions",
        )
    settings = drift.settings
    device = drift.embedding.device
    drift.reset(torch.Generator().manual_seed(seed))
    generator = torch.Generator(device).manual_seed(seed + 1)
    optimizer = torch.optim.AdamW(
        drift.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.999),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    membership = membership.to(device)
    flat = states.reshape(-1, genes)
    levels = len(drift.alphas)
    batch = settings.batch_states

    def draw(bound: int, how: str) -> Tensor:
        count = batch if how == "mixed" else 1
        return torch.randint(bound, (count,), generator=generator, device=device)

    def step(index: int) -> StepReport:
        condition = draw(conditions, settings.conditions_per_batch)
        level = draw(levels, settings.levels_per_batch)
        sample = torch.randint(samples, (batch,), generator=generator, device=device)
        clean = flat[(condition * samples + sample).to(flat.device)].to(device)
        noise = torch.randn(batch, genes, generator=generator, device=device)
        alpha = drift.alphas[level].to(clean).unsqueeze(1)
        first, second = drift.condition_features(membership)
        scaled = drift.scaled(
            torch.addcmul(clean, alpha, noise),
            first[condition],
            second[condition],
            drift.level_features()[level],
            alpha,
        )
        loss = (scaled + noise).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        rate = cosine_learning_rate(
            index, settings.learning_rate, settings.steps, settings.warmup_steps
        )
        optimizer.param_groups[0]["lr"] = rate
        norm = torch.sqrt(sum_of_squares(drift))
        optimizer.step()
        return StepReport(loss.item(), norm.item(), rate)

    drift.train()
    log = run_steps(step, settings.steps, name="drift", log_every=settings.log_every)
    drift.eval()
    return log


def sum_of_squares(module: torch.nn.Module) -> Tensor:
    """Sum of squared gradients of all parameters; scalar."""
    norms = torch._foreach_norm([p.grad for p in module.parameters() if p.grad is not None])
    return torch.stack(norms).square().sum()
