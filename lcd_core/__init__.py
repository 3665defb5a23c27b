"""Latent causal diffusion and CLIPR: arrays and tensors in, arrays and tensors out."""

__version__ = "0.1.0"
