"""Gradient-domain blending: guidance, the Poisson equation, its solvers, and the cache of what belongs to one hole."""
