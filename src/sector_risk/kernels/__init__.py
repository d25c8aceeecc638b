"""Numerical kernels: numpy and numba only, no labels, no files, no settings objects.

Every array has the draw axis last and contiguous. Money is GBP million, adverse pressures are positive,
positions are surplus-positive (model conventions). Kernels only read their randomness; they never own it.
"""
