"""The grammar of symbolic expressions that torch writes: parsed, bounded, printed anew.

torch evaluates the text of sizes and guards as Python. Here such a text is only parsed. What
is in the grammar becomes a tree of five kinds of nodes; anything else is refused. The tree is
printed anew or made into sympy objects, so no text of a file is ever evaluated.

Source: torch 2.13, `_export/serde/serialize.py` (_print_sympy, which is sympy's srepr, and
before 2.6 str; _parse_sym_expr), `utils/_sympy/functions.py`, `export/_unlift.py` (guards).
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

LONGEST_TEXT: Final = 10_000
"""Characters of an expression."""

MOST_PARTS: Final = 1_000
_DEEPEST: Final = 60
_MOST_CHOICES: Final = 32
"""Arguments of all Max and Min of an expression; sympy compares each with each."""

LARGEST_INTEGER: Final = 1 << 64
MOST_BITS: Final = 512
"""Of a number that evaluation computes."""

_MOST_TERMS: Final = 1_000
"""Terms of the sum that an expression becomes when all its products are multiplied out."""

_MOST_TERMS_DIVIDED: Final = 200
"""The same for what is divided: sympy factors it."""

_LARGEST_PRECISION: Final = 200

_NAME: Final = re.compile(r"[A-Za-z_]\w{0,99}", re.ASCII)
_NUMBER_TEXT: Final = re.compile(r"-?\d{1,40}(\.\d{0,40})?(e[-+]?\d{1,3})?", re.ASCII)

_SYMBOL_ASSUMPTIONS: Final = frozenset(
    [
        "commutative",
        "complex",
        "even",
        "extended_real",
        "finite",
        "hermitian",
        "imaginary",
        "infinite",
        "integer",
        "negative",
        "nonnegative",
        "nonpositive",
        "nonzero",
        "odd",
        "positive",
        "real",
        "zero",
    ]
)

_SYMPY_FUNCTIONS: Final = frozenset(
    [
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Abs",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "And",
        "Or",
        "Not",
        "Equality",
        "Unequality",
        "StrictLessThan",
        "StrictGreaterThan",
        "LessThan",
        "GreaterThan",
        "Piecewise",
        "ExprCondPair",
        "ITE",
        "floor",
        "ceiling",
        "sqrt",
        "log",
        "exp",
    ]
)
"""Functions of sympy."""

TORCH_FUNCTIONS: Final = frozenset(
    [
        "FloorDiv",
        "ModularIndexing",
        "Where",
        "PythonMod",
        "Mod",
        "CleanDiv",
        "CeilToInt",
        "FloorToInt",
        "CeilDiv",
        "LShift",
        "RShift",
        "PowByNatural",
        "FloatPow",
        "FloatTrueDiv",
        "IntTrueDiv",
        "IsNonOverlappingAndDenseIndicator",
        "TruncToFloat",
        "TruncToInt",
        "RoundToInt",
        "RoundDecimal",
        "ToFloat",
        "Identity",
        "BitwiseFn_bitwise_and",
        "BitwiseFn_bitwise_or",
        "OpaqueUnaryFn_sqrt",
        "OpaqueUnaryFn_cos",
        "OpaqueUnaryFn_sin",
        "OpaqueUnaryFn_tanh",
        "OpaqueUnaryFn_exp",
        "OpaqueUnaryFn_log2",
    ]
)
"""Functions of torch.utils._sympy."""

FUNCTIONS: Final = _SYMPY_FUNCTIONS | TORCH_FUNCTIONS
"""All functions of the grammar."""

POWERS: Final = frozenset(("Pow", "PowByNatural", "FloatPow", "LShift", "RShift"))
_BOUNDED_POWERS: Final = frozenset(("PowByNatural", "FloatPow", "LShift", "RShift"))
"""Powers that torch computes up to a bound, so that a symbol can be their exponent."""

EXPONENTIALS: Final = frozenset(("exp", "OpaqueUnaryFn_exp"))
_LARGEST_EXPONENTIAL: Final = 700
"""What `exp` may be given as a number; the result is about the largest double."""

_CHOICES: Final = frozenset(("Max", "Min"))
_DIVISIONS: Final = frozenset(
    [
        "floor",
        "ceiling",
        "FloorDiv",
        "ModularIndexing",
        "PythonMod",
        "Mod",
        "CleanDiv",
        "CeilToInt",
        "FloorToInt",
        "CeilDiv",
        "FloatTrueDiv",
        "IntTrueDiv",
        "TruncToInt",
        "RoundToInt",
        "RoundDecimal",
        "Abs",
        "sqrt",
        "log",
        "exp",
    ]
)

_BINARY: Final[dict[type[ast.AST], tuple[str, Callable[[Any, Any], Any]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
}
_OPERATIONS: Final = dict(_BINARY.values())
_UNARY: Final[dict[type[ast.AST], tuple[str, Callable[[Any], Any]]]] = {
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
    ast.Invert: ("~", operator.invert),
}
_UNARY_OPERATIONS: Final = dict(_UNARY.values())


class GrammarError(ValueError):
    """A text is not an expression that torch writes, or costs too much to evaluate."""


class CostError(GrammarError):
    """An expression is in the grammar, and evaluating it could take too long."""


@dataclass(frozen=True)
class Number:
    """A Python number or truth value."""

    value: int | float | bool


@dataclass(frozen=True)
class Exact:
    """sympy's Integer, Rational or Float, with its arguments."""

    kind: str
    arguments: tuple[int | float | str, ...]
    precision: int | None = None
    """Bits, of a Float; None is sympy's own."""


@dataclass(frozen=True)
class Name:
    """A symbol, with the assumptions that torch wrote down with it."""

    name: str
    assumptions: tuple[tuple[str, bool], ...] = ()
    bare: bool = False
    """Written as its name only, as torch did before 2.6."""


@dataclass(frozen=True)
class FunctionCall:
    """A function of the grammar and its arguments."""

    function: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True)
class Operation:
    """An operator between two operands, or in front of one."""

    sign: str
    operands: tuple[Tree, ...]


Tree = Number | Exact | Name | FunctionCall | Operation


def parse(text: object) -> Tree:
    """Returns the tree of an expression.

    Raises:
        GrammarError: torch writes no such text, or evaluating it could take too long.
    """
    if isinstance(text, str) and (not text.isascii() or "#" in text):
        raise GrammarError("it is no text of ASCII characters")
    tree = _converted(python_tree(text), _DEEPEST)
    _check_cost(tree)
    return tree


def printed(tree: Tree) -> str:
    """Returns the text of a tree, in one form whatever the text was that it came from."""
    match tree:
        case Number(value):
            return repr(value)
        case Exact(kind, arguments, precision):
            listed = [repr(each) for each in arguments]
            listed += [f"precision={precision}"] if precision is not None else []
            return f"{kind}({', '.join(listed)})"
        case Name(name, _, True):
            return name
        case Name(name, assumptions):
            told = "".join(f", {key}={value}" for key, value in assumptions)
            return f"Symbol({name!r}{told})"
        case FunctionCall(function, arguments):
            return f"{function}({', '.join(map(printed, arguments))})"
        case Operation(sign, (only,)):
            return f"({sign}{printed(only)})"
        case Operation(sign, (left, right)):
            return f"({printed(left)} {sign} {printed(right)})"
    raise AssertionError(f"no tree: {tree!r}")


def evaluated(tree: Tree, sympy: Any, functions: Mapping[str, Any]) -> Any:
    """Returns the sympy object of a tree.

    Args:
        tree: what `parse` returned.
        sympy: the module.
        functions: torch's functions, and symbols that have a meaning already, by name.
    """
    match tree:
        case Number(bool() as value):
            return sympy.true if value else sympy.false
        case Number(value):
            return sympy.sympify(value)
        case Exact("Float", (value,), precision):
            return sympy.Float(value, precision=precision) if precision else sympy.Float(value)
        case Exact(kind, arguments):
            return getattr(sympy, kind)(*arguments)
        case Name(name, _, True):
            return functions[name] if name in functions else sympy.Symbol(name)
        case Name(name, assumptions):
            return sympy.Symbol(name, **dict(assumptions))
        case FunctionCall(function, arguments):
            known = functions.get(function) or _of_sympy(sympy, function)
            if known is None:
                raise GrammarError(f"{function} is not known to this torch")
            return known(*(evaluated(each, sympy, functions) for each in arguments))
        case Operation(sign, (only,)):
            return _UNARY_OPERATIONS[sign](evaluated(only, sympy, functions))
        case Operation(sign, (left, right)):
            return _OPERATIONS[sign](
                evaluated(left, sympy, functions), evaluated(right, sympy, functions)
            )
    raise AssertionError(f"no tree: {tree!r}")


def _of_sympy(sympy: Any, function: str) -> Any:
    if function == "ExprCondPair":
        return sympy.functions.elementary.piecewise.ExprCondPair
    return getattr(sympy, function, None)


def python_tree(text: object) -> ast.AST:
    """Returns a text of one line as Python parses it; nothing is evaluated.

    Raises:
        GrammarError: it is no expression, or too long.
    """
    if not isinstance(text, str) or not text.isprintable():
        raise GrammarError("it is no text in one line")
    if len(text) > LONGEST_TEXT:
        raise CostError(f"it has {len(text)} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as cause:
        raise GrammarError("it is no expression") from cause


def _converted(node: ast.AST, levels: int) -> Tree:
    if not levels:
        raise CostError(f"it is nested more than {_DEEPEST} levels deep")
    match node:
        case ast.Constant(bool() | int() | float() as value):
            return Number(_small(value))
        case ast.Name(name):
            return _bare(name)
        case ast.Call(ast.Name("Symbol"), [ast.Constant(str() as name)], keywords):
            return Name(_plain(name), _assumptions(keywords))
        case ast.Call(ast.Name("Integer" | "Rational" | "Float" as kind), arguments, keywords):
            return _exact(kind, arguments, keywords)
        case ast.Call(ast.Name(name), arguments, []) if name in FUNCTIONS:
            return FunctionCall(
                name, tuple(_converted(each, levels - 1) for each in arguments)
            )
        case ast.UnaryOp(sign, operand) if type(sign) in _UNARY:
            return Operation(_UNARY[type(sign)][0], (_converted(operand, levels - 1),))
        case ast.BinOp(left, sign, right) if type(sign) in _BINARY:
            pair = (_converted(left, levels - 1), _converted(right, levels - 1))
            return Operation(_BINARY[type(sign)][0], pair)
        case ast.Compare(left, [sign], [right]) if type(sign) in _BINARY:
            pair = (_converted(left, levels - 1), _converted(right, levels - 1))
            return Operation(_BINARY[type(sign)][0], pair)
    raise GrammarError(f"torch writes no {type(node).__name__} there")


def _bare(name: str) -> Tree:
    if name in ("true", "false"):
        return Number(name == "true")
    return Name(_plain(name), bare=True)


def _plain(name: str) -> str:
    if _NAME.fullmatch(name) is None or name.startswith("__"):
        raise GrammarError(f"{name!r} is no name of a symbol")
    return name


def _small(value: int | float | bool) -> int | float | bool:
    if isinstance(value, float) and not math.isfinite(value):
        raise GrammarError(f"{value} is no size")
    if abs(value) >= LARGEST_INTEGER and not isinstance(value, float):
        raise CostError("it holds an integer of more than 64 bits")
    return value


def _assumptions(keywords: list[ast.keyword]) -> tuple[tuple[str, bool], ...]:
    found = []
    for keyword in keywords:
        match keyword:
            case ast.keyword(str() as name, ast.Constant(bool() as value)) if (
                name in _SYMBOL_ASSUMPTIONS
            ):
                found.append((name, value))
            case _:
                raise GrammarError(f"a symbol has no {keyword.arg}")
    return tuple(found)


def _exact(kind: str, arguments: list[ast.expr], keywords: list[ast.keyword]) -> Exact:
    values = tuple(map(_exact_argument, arguments))
    precision = None
    for keyword in keywords:
        match keyword:
            case ast.keyword("precision", ast.Constant(int() as value)) if (
                kind == "Float" and 0 < value <= _LARGEST_PRECISION
            ):
                precision = value
            case _:
                raise GrammarError(f"{kind} has no such {keyword.arg}")
    if len(values) != (2 if kind == "Rational" else 1):
        raise GrammarError(f"{kind} has {len(values)} arguments")
    if kind != "Float" and not all(isinstance(each, int) for each in values):
        raise GrammarError(f"{kind} is made of integers")
    return Exact(kind, values, precision)


def _exact_argument(node: ast.expr) -> int | float | str:
    match node:
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return -_small(value)
        case ast.Constant(bool()):
            pass
        case ast.Constant(int() | float() as value):
            return _small(value)
        case ast.Constant(str() as text) if _NUMBER_TEXT.fullmatch(text):
            if not math.isfinite(float(text)):
                raise CostError("it holds a number beyond a double")
            return text
    raise GrammarError("a number is made of something else")


def _check_cost(tree: Tree) -> None:
    nodes = list(_nodes(tree))
    if len(nodes) > MOST_PARTS:
        raise CostError(f"it has {len(nodes)} parts")
    chosen = sum(
        len(node.arguments)
        for node in nodes
        if isinstance(node, FunctionCall) and node.function in _CHOICES
    )
    if chosen > _MOST_CHOICES:
        raise CostError(f"its Max and Min choose between {chosen} values")
    for node in nodes:
        _check_exponent(node)
    if _bits(tree) > MOST_BITS:
        raise CostError("it computes a number that is too large")
    _terms(tree)


def _check_exponent(node: Tree) -> None:
    """Refuses powers whose size a symbol or a large number decides."""
    children = _children(node)
    if isinstance(node, FunctionCall) and node.function in EXPONENTIALS and children:
        size = _magnitude(children[0])
        if size is None and node.function != "exp":
            return  # torch computes it in floats, when it runs.
        again = any(
            isinstance(each, FunctionCall) and each.function in EXPONENTIALS
            for each in _nodes(children[0])
        )
        if size is None or size > _LARGEST_EXPONENTIAL or again:
            raise CostError("the argument of its exp may be too large")
    if not _is_power(node) or len(children) != 2:
        return
    bounded = isinstance(node, FunctionCall) and node.function in _BOUNDED_POWERS
    if not bounded and _magnitude(children[1]) is None:
        raise CostError("the exponent of its power is a symbol")


def _nodes(tree: Tree) -> Iterator[Tree]:
    rest = [tree]
    while rest:
        node = rest.pop()
        yield node
        rest.extend(_children(node))


def _children(tree: Tree) -> tuple[Tree, ...]:
    match tree:
        case FunctionCall(_, arguments):
            return arguments
        case Operation(_, operands):
            return operands
        case _:
            return ()


def _is_power(tree: Tree) -> bool:
    return (isinstance(tree, FunctionCall) and tree.function in POWERS) or (
        isinstance(tree, Operation) and tree.sign == "**"
    )


def _bits(tree: Tree) -> float:
    """Returns at most how many bits the numbers take that evaluating a tree computes."""
    if isinstance(tree, Number | Exact):
        values = (tree.value,) if isinstance(tree, Number) else tree.arguments
        return max(bits_of(value) for value in values)
    if isinstance(tree, Name):
        return 1
    children = [_bits(child) for child in _children(tree)]
    if _is_power(tree) and len(children) == 2:
        exponent = _magnitude(_children(tree)[1])
        return sum(children) if exponent is None else children[0] * max(1.0, exponent)
    return max([sum(children), 1])


def bits_of(value: object) -> float:
    """Returns at most how many bits a number takes."""
    if isinstance(value, int):
        return max(1, value.bit_length())
    return 64 if isinstance(value, float) else len(str(value)) * 4


def _magnitude(tree: Tree) -> float | None:
    """Returns at most how large a number in an exponent is; None where a symbol stands."""
    if any(isinstance(node, Name) for node in _nodes(tree)):
        return None
    bits = _bits(tree)
    if isinstance(tree, Number):
        return abs(float(tree.value))
    if isinstance(tree, Exact) and tree.kind == "Integer":
        return abs(float(tree.arguments[0]))
    return float(2 ** min(int(bits), 60))


def _terms(tree: Tree) -> int:
    """Returns how many terms a tree has when it is multiplied out.

    Raises:
        GrammarError: too many.
    """
    children = [_terms(child) for child in _children(tree)]
    found = _terms_of(tree, children)
    divides = (isinstance(tree, FunctionCall) and tree.function in _DIVISIONS) or (
        isinstance(tree, Operation) and tree.sign in ("/", "//", "%")
    )
    if found > _MOST_TERMS or (divides and math.prod(children) > _MOST_TERMS_DIVIDED):
        raise CostError("it has too many terms when it is multiplied out")
    return found


def _terms_of(tree: Tree, children: list[int]) -> int:
    match tree:
        case FunctionCall("Mul") | Operation("*"):
            return math.prod(children)
        case Operation("/" | "//" | "%"):
            return max(children)
        case _ if _is_power(tree) and len(children) == 2:
            exponent = _magnitude(_children(tree)[1])
            if exponent is None:
                # x**y stays as it is; a number to a symbol does too.
                return sum(children)
            times = min(int(exponent) + 1, _MOST_TERMS)
            # A sum of n terms to the power e has this many; a single term grows its degree.
            return max(math.comb(children[0] + times - 2, times - 1), times // 8 + 1)
        case FunctionCall() | Operation():
            return max(1, sum(children))
        case _:
            return 1
