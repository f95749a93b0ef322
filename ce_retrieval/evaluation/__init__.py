"""Measuring every method against every other on photos whose truth is known (Pathak et al. 2016, Table 1)."""

from ce_retrieval.evaluation.methods import Method, default_methods, parse_methods
from ce_retrieval.evaluation.protocol import Evaluation, EvaluationSettings, MethodResult, evaluate
from ce_retrieval.evaluation.report import markdown_table, notes, write_report

__all__ = [
    "Evaluation",
    "EvaluationSettings",
    "Method",
    "MethodResult",
    "default_methods",
    "evaluate",
    "markdown_table",
    "notes",
    "parse_methods",
    "write_report",
]
