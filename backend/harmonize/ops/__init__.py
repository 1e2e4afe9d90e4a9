"""Tensor -> tensor, no state, one idea a file."""
