"""Measuring every method against every other on photos whose truth is known (Pathak et al. 2016, Table 1)."""

from ce_retrieval.evaluation.contexts.report import context_tables, write_contexts
from ce_retrieval.evaluation.contexts.run import ContextEvaluation, measure_contexts
from ce_retrieval.evaluation.contexts.settings import ContextSettings
from ce_retrieval.evaluation.leaks import Leak
from ce_retrieval.evaluation.measuring import MethodResult
from ce_retrieval.evaluation.method_names import parse_methods
from ce_retrieval.evaluation.methods import Method, default_methods
from ce_retrieval.evaluation.report import markdown_table, notes, tables, write_report
from ce_retrieval.evaluation.run import Evaluation, evaluate
from ce_retrieval.evaluation.settings import EvaluationSettings, LeftOut

__all__ = [
    "ContextEvaluation",
    "ContextSettings",
    "Evaluation",
    "EvaluationSettings",
    "Leak",
    "LeftOut",
    "Method",
    "MethodResult",
    "context_tables",
    "default_methods",
    "evaluate",
    "markdown_table",
    "measure_contexts",
    "notes",
    "parse_methods",
    "tables",
    "write_contexts",
    "write_report",
]
