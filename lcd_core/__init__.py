"""Latent causal diffusion and CLIPR: arrays and tensors in, arrays and tensors out."""
