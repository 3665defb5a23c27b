"""Systems with a known truth: a mechanistic screen and linear systems."""
