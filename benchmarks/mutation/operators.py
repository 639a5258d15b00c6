"""What a mutant may do to one piece of syntax: each operator is a small table from what stands there to what could."""

import ast
from collections.abc import Iterator

Change = tuple[str, ast.AST]
"""Name of the operator, and what it puts in the place of the node."""

COMPARISONS: dict[type[ast.cmpop], tuple[tuple[str, type[ast.cmpop]], ...]] = {
    ast.Lt: (("boundary", ast.LtE), ("comparison", ast.GtE)),
    ast.LtE: (("boundary", ast.Lt), ("comparison", ast.Gt)),
    ast.Gt: (("boundary", ast.GtE), ("comparison", ast.LtE)),
    ast.GtE: (("boundary", ast.Gt), ("comparison", ast.Lt)),
    ast.Eq: (("comparison", ast.NotEq),),
    ast.NotEq: (("comparison", ast.Eq),),
    ast.Is: (("comparison", ast.IsNot),),
    ast.IsNot: (("comparison", ast.Is),),
    ast.In: (("comparison", ast.NotIn),),
    ast.NotIn: (("comparison", ast.In),),
}

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}

CALLS = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "all": "any", "any": "all"}
"""Functions by the last part of their name: extremes, roundings, quantifiers."""

UNWRAPPED = frozenset({"abs", "sorted", "set", "reversed"})
"""Functions of one argument that a mutant leaves out."""


def changes(node: ast.AST) -> Iterator[Change]:
    """Every mutant of this node alone, its children as they are."""
    rule = _RULES.get(type(node))
    if rule is not None:
        yield from rule(node)


def truth(node: ast.expr) -> Iterator[Change]:
    """A condition turned round, where no other operator already does it."""
    if not isinstance(node, ast.Compare | ast.BoolOp | ast.Constant | ast.UnaryOp):
        yield "condition", ast.UnaryOp(ast.Not(), node)


def _compare(node: ast.Compare) -> Iterator[Change]:
    for place, op in enumerate(node.ops):
        for name, other in COMPARISONS[type(op)]:
            yield name, ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)


def _arithmetic(node: ast.BinOp) -> Iterator[Change]:
    if not any(_is_text(side) for side in (node.left, node.right)):
        yield "arithmetic", ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    if isinstance(node.op, ast.FloorDiv):
        up = ast.BinOp(ast.UnaryOp(ast.USub(), node.left), ast.FloorDiv(), node.right)
        yield "rounding", ast.UnaryOp(ast.USub(), up)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _update(node: ast.AugAssign) -> Iterator[Change]:
    yield "arithmetic", ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
    yield "removed", ast.Pass()


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        others: tuple[float, ...] = (not value,)
    elif isinstance(value, int):
        others = (value + 1, value - 1)
    elif isinstance(value, float):
        others = (value * 2.0, value / 2.0) if value else (1.0, -1.0)
    else:
        others = ()
    for other in others:
        yield "constant", ast.Constant(other)


def _quantifier(node: ast.BoolOp) -> Iterator[Change]:
    yield "and-or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield "not", node.operand
    elif isinstance(node.op, ast.USub):
        yield "sign", node.operand


def _call(node: ast.Call) -> Iterator[Change]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in CALLS:
        other = CALLS[name]
        func = ast.Name(other) if isinstance(node.func, ast.Name) else ast.Attribute(node.func.value, other)
        yield "call", ast.Call(func, node.args, node.keywords)
    if isinstance(node.func, ast.Name) and name in UNWRAPPED and len(node.args) == 1:
        yield "unwrapped", node.args[0]


def _infinity(node: ast.Attribute) -> Iterator[Change]:
    if node.attr == "inf":
        yield "sign", ast.UnaryOp(ast.USub(), node)


def _removed(node: ast.stmt) -> Iterator[Change]:
    yield "removed", ast.Pass()


def _effect(node: ast.Expr) -> Iterator[Change]:
    if isinstance(node.value, ast.Call):
        yield "removed", ast.Pass()


_RULES = {
    ast.Compare: _compare,
    ast.BinOp: _arithmetic,
    ast.AugAssign: _update,
    ast.Constant: _constant,
    ast.BoolOp: _quantifier,
    ast.UnaryOp: _unary,
    ast.Call: _call,
    ast.Attribute: _infinity,
    ast.Raise: _removed,
    ast.Break: _removed,
    ast.Continue: _removed,
    ast.Delete: _removed,
    ast.Expr: _effect,
}
