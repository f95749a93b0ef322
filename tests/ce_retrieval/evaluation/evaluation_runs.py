"""Evaluations as the tests run and read them."""

import json

from ce_retrieval.evaluation import EvaluationSettings, evaluate, write_report

METHODS = ("thumbnail:16@none", "thumbnail:16+rim+blend", "hog+mean", "smooth", "oracle", "ring+blend")


def run(folder, index, out, methods=METHODS, progress=None, **settings):
    folders = folder if isinstance(folder, list) else [folder]
    return evaluate(folders, index, out, EvaluationSettings(tuple(methods), **settings), progress)


def results_of(evaluation, out):
    """results.json as it was written, without what may differ: seconds, and the hash of the file."""
    write_report(evaluation, out)
    results = json.loads((out / "results.json").read_bytes())
    del results["sha256"]
    for method in results["methods"]:
        assert method.pop("seconds") > 0 and method.pop("memory") > 50 and 0 <= method.pop("others") <= 1
    return results
