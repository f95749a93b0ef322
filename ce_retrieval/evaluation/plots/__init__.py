"""Plots and sheets of an evaluation, by matplotlib."""
