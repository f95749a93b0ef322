"""Filters on the columns of an index, as in `licence == 'CC0' and width >= 1024`.

The language is a subset of Python's expressions, parsed by `ast` and evaluated by pyarrow, a column at a time; no code is
run. It has the columns; texts and numbers; `== != < <= > >=`, chained too; `in [..]` and `not in [..]`; `'text' in COLUMN`;
`startswith(COLUMN, 'text')`, `endswith(..)`, `contains(..)`; `and`, `or`, `not` and brackets.
"""

import ast
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ce_retrieval.errors import FilterError, cut, shown

TEXTS = ("key", "label", "caption", "licence", "source", "sha256")
NUMBERS = ("width", "height")
COLUMNS = (*TEXTS, *NUMBERS)
MAX_LENGTH = 20_000  # characters of an expression
MAX_DEPTH = 50  # operators within operators

_COMPARISONS = {ast.Eq: "equal", ast.NotEq: "not_equal", ast.Lt: "less", ast.LtE: "less_equal"} | {
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_FUNCTIONS = {"contains": "match_substring", "startswith": "starts_with", "endswith": "ends_with"}


class _Value(NamedTuple):
    """An operand.

    Attributes
    ----------
    kind : str
        "text", "number" or "list of ...".
    value
        The pyarrow array of a column, or a constant.
    is_column : bool
    node : ast.expr
    """

    kind: str
    value: Any
    is_column: bool
    node: ast.expr


def matching_rows(stored: Callable[[str], Any], roots: Sequence[str], where: str) -> np.ndarray:
    """Return which photos pass an expression: bool (N,).

    Parameters
    ----------
    stored : name -> pyarrow array
        Reads a column of PhotoRecord, of N photos; called for those that the expression names.
    roots : list of str
        Paths of the index's sources: the texts of the column `source`.
    where : str

    Raises
    ------
    FilterError
        `where` is not an expression of this language; the message names the faulty part.
    """
    if not isinstance(where, str):
        raise FilterError(f"`where` is {shown(where)}: expected a text such as \"licence == 'CC0' and width >= 1024\"")
    where = where.replace("\n", " ").replace("\r", " ").strip()  # an expression may have several lines
    tree = _parse(where)
    columns: dict[str, Any] = {}

    def column(name: str) -> Any:
        if name not in columns:
            columns[name] = source_texts(stored(name), roots) if name == "source" else stored(name)
        return columns[name]

    passed = _Evaluator(where, column).condition(tree, 0)
    return np.asarray(passed.to_numpy(zero_copy_only=False), bool)


def source_texts(numbers: Any, roots: Sequence[str]) -> Any:
    """Return the paths of the sources with these numbers, a pyarrow array, as a pyarrow array."""
    import pyarrow as pa

    # A root's name need not be valid UTF-8; its other bytes are escaped as in the names of photos.
    texts = [root.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for root in roots]
    return pa.array(texts, pa.string()).take(numbers.combine_chunks())


def _parse(where: str) -> ast.expr:
    if not where:
        raise FilterError("`where` is empty: give an expression such as \"licence == 'CC0' and width >= 1024\"")
    if len(where) > MAX_LENGTH:
        raise FilterError(f"`where` is {len(where)} characters long: expected at most {MAX_LENGTH}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own, about escapes in texts
            return ast.parse(where, mode="eval").body
    except SyntaxError as error:
        place = f" at character {error.offset}" if error.offset else ""
        raise FilterError(f"`where` {shown(where)} is not an expression: {error.msg}{place}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        reason = "too many brackets" if not isinstance(error, ValueError) else str(error)
        raise FilterError(f"`where` {shown(where)} is not an expression: {reason}") from error


class _Evaluator:
    """Evaluates the tree of one expression; `column` returns a column as a pyarrow array."""

    def __init__(self, where: str, column: Callable[[str], Any]) -> None:
        self._where, self._column = where, column

    def condition(self, node: ast.expr, depth: int) -> Any:
        """Return a pyarrow array of booleans."""
        import pyarrow.compute as pc

        if depth > MAX_DEPTH:
            self._fail(f"nests deeper than {MAX_DEPTH} operators: write it flatter")
        if isinstance(node, ast.BoolOp):
            join = pc.and_ if isinstance(node.op, ast.And) else pc.or_
            passed = self.condition(node.values[0], depth + 1)
            for value in node.values[1:]:
                passed = join(passed, self.condition(value, depth + 1))
            return passed
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return pc.invert(self.condition(node.operand, depth + 1))
        if isinstance(node, ast.Compare):
            passed = None
            for left, operator, right in zip(
                [node.left, *node.comparators[:-1]], node.ops, node.comparators, strict=True
            ):
                one = self._comparison(node, self._operand(left), operator, self._operand(right))
                passed = one if passed is None else pc.and_(passed, one)
            return passed
        if isinstance(node, ast.Call):
            return self._call(node)
        shown = self._shown(node)
        if isinstance(node, ast.Name | ast.Constant):
            self._operand(node)  # reports an unknown column
            self._fail(f"has {shown} alone, which is not a condition: compare it, as in {shown} == ...")
        return self._refuse(node)

    def _comparison(self, node: ast.Compare, left: _Value, operator: ast.cmpop, right: _Value) -> Any:
        import pyarrow.compute as pc

        if not (left.is_column or right.is_column):
            self._fail(f"has {self._shown(node)}, which names no column: there are {', '.join(COLUMNS)}")
        if isinstance(operator, ast.In | ast.NotIn):
            found = self._membership(left, right)
            return found if isinstance(operator, ast.In) else pc.invert(found)
        name = _COMPARISONS.get(type(operator))
        if name is None:
            self._fail(f"has `is` in {self._shown(node)}: write == or !=")
        if left.kind != right.kind:
            self._mismatch(left, right)
        return getattr(pc, name)(left.value, right.value)

    def _membership(self, left: _Value, right: _Value) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        if right.kind == f"list of {left.kind}s" or right.kind == "list of nothing":
            kind = pa.string() if left.kind == "text" else pa.float64()
            return pc.is_in(left.value.cast(kind), value_set=pa.array(right.value, kind))
        if not left.is_column and left.kind == "text" and right.is_column and right.kind == "text":
            return pc.match_substring(right.value, left.value)
        if right.kind.startswith("list"):
            self._mismatch(left, right)
        shown = self._shown(right.node)
        return self._fail(f"has `in {shown}`: expected COLUMN in [.., ..], or 'text' in a column of texts")

    def _call(self, node: ast.Call) -> Any:
        import pyarrow.compute as pc

        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in _FUNCTIONS:
            self._fail(
                f"calls {self._shown(node.func)}: there are {', '.join(sorted(_FUNCTIONS))} and no other functions"
            )
        values = [self._operand(argument) for argument in node.args]
        if [(v.kind, v.is_column) for v in values] != [("text", True), ("text", False)] or node.keywords:
            self._fail(f"has {self._shown(node)}: expected {name}(COLUMN, 'text') with one of {', '.join(TEXTS)}")
        return getattr(pc, _FUNCTIONS[name])(values[0].value, values[1].value)

    def _operand(self, node: ast.expr) -> _Value:
        if isinstance(node, ast.Name):
            if node.id not in COLUMNS:
                self._fail(f"names {cut(node.id)}, which is not a column: there are {', '.join(COLUMNS)}")
            return _Value("number" if node.id in NUMBERS else "text", self._column(node.id), True, node)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            values = [self._constant(item) for item in node.elts]
            kinds = {"text" if isinstance(value, str) else "number" for value in values}
            if len(kinds) > 1:
                self._fail(f"mixes texts and numbers in {self._shown(node)}")
            return _Value(f"list of {kinds.pop()}s" if kinds else "list of nothing", values, False, node)
        value = self._constant(node)
        return _Value("text" if isinstance(value, str) else "number", value, False, node)

    def _constant(self, node: ast.expr) -> str | float:
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node = -1, node.operand
        value = node.value if isinstance(node, ast.Constant) else None
        if isinstance(value, str) and sign == 1:
            if any("\ud800" <= letter <= "\udfff" for letter in value):
                self._fail(f"has the text {self._shown(node)}, which is not valid UTF-8")
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return sign * float(value)
            except OverflowError:
                self._fail(f"has the number {self._shown(node)}, which is too large")
        return self._refuse(node)

    def _mismatch(self, left: _Value, right: _Value) -> NoReturn:
        column, other = (left, right) if left.is_column else (right, left)
        self._fail(
            f"compares {self._shown(column.node)}, a {column.kind}, with {self._shown(other.node)}, a {other.kind}"
        )

    def _refuse(self, node: ast.expr) -> NoReturn:
        self._fail(
            f"has {self._shown(node)}, which filters do not support: they have columns, texts, numbers, comparisons, in, and, "
            f"or, not, {', '.join(sorted(_FUNCTIONS))}"
        )

    def _shown(self, node: ast.AST) -> str:
        return cut(ast.get_source_segment(self._where, node) or type(node).__name__)

    def _fail(self, problem: str) -> NoReturn:
        raise FilterError(f"`where` {shown(self._where)} {problem}")
