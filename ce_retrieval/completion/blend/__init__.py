"""Gradient-domain blending: the guidance field, the Poisson equation, its solvers, and a cache of them by hole."""
