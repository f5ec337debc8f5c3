"""Expressions of torch are parsed and printed anew; nothing else is admitted."""

import time

import pytest
import sympy
from torch.utils._sympy import functions

from trtdbg.archive import expressions
from trtdbg.archive.expressions import CostError, GrammarError, parse, printed
from trtdbg.archive.guards import printed_guard

FUNCTIONS = {
    name: getattr(functions, name)
    for name in expressions.TORCH_FUNCTIONS
    if hasattr(functions, name)
}

WRITTEN_BY_TORCH = [
    "Symbol('s77', integer=True, positive=True)",
    "Mul(Integer(2), Symbol('h', integer=True))",
    "Add(Integer(-1), FloorDiv(Add(Symbol('s0', integer=True), Integer(1)), Integer(2)))",
    "Eq(Mod(Symbol('s0', integer=True), Integer(4)), Integer(0))",
    "Pow(Symbol('s0', integer=True), Integer(2))",
    "PowByNatural(Symbol('s', integer=True, positive=True), Integer(3))",
    "IntTrueDiv(Symbol('s0', integer=True), Integer(2))",
    "Float('1.5', precision=53)",
    "Rational(1, 3)",
    "Max(Integer(1), Symbol('s0', integer=True))",
    "ToFloat(Symbol('u0', integer=True))",
    "s0*2 - 1",
    "((s0 - 1)//2) + 1",
    "Mod(s0, 2)",
    "u0 >= 0",
    "Max(1, s0 - 3)",
    "-s0**2",
    "true",
]

NOT_WRITTEN = [
    "__import__('os').system('x')",
    "Symbol('__import__')",
    "Symbol('a b')",
    "Symbol('s', integer=f())",
    "Symbol('s', color=True)",
    "a.b",
    "a[0]",
    "lambda: 1",
    "[1]",
    "{1}",
    "'x'",
    "x if y else z",
    "(yield)",
    "f(x)",
    "factorial(9)",
    "s!",
    "Integer('3')",
    "Integer(3",
    "Integer(3) # x",
    "Integer(1.5)",
    "Integer(True)",
    "1e999",
    "Integer(3)\x00",
    "ℐnteger(3)",
    "",
    None,
    3,
]

TOO_COSTLY = [
    "Pow(Integer(3), Mul(Integer(64), Integer(64), Integer(64), Integer(64), Integer(64)))",
    "3**(60*60*60*60*60)",
    "Pow(Pow(Pow(Integer(9), Integer(60)), Integer(60)), Integer(60))",
    "9**9**9**9",
    "s**(2**60)",
    "LShift(Integer(1), Integer(1000000000))",
    "PowByNatural(Add(s, 1), Integer(600))",
    "floor((Symbol('a')+Symbol('b')+Symbol('c')+Symbol('d'))**60/(Symbol('a')-Symbol('b'))**60)"
    "%Symbol('c')",
    "Mod((s+1)**60*(s+2)**60*(s-3)**60, (s+5)**40)",
    "(a+b+c+d+e)**30",
    "(a+1)*(b+1)*(c+1)*(d+1)*(e+1)*(f+1)*(g+1)*(h+1)*(i+1)*(j+1)",
    "Max(" + ", ".join(f"Symbol('s{index}')" for index in range(300)) + ")",
    "Add(" + ", ".join(["Integer(1)"] * 900) + ")",
    "-" * 200 + "s",
    "1" * 60,
    "s+" * 6_000 + "s",
]


@pytest.mark.parametrize("text", WRITTEN_BY_TORCH)
def test_what_torch_writes_means_the_same_and_prints_in_one_form(text):
    tree = parse(text)
    again = printed(tree)
    assert printed(parse(again)) == again
    made = expressions.evaluated(tree, sympy, FUNCTIONS)
    assert made == sympy.sympify(text, locals=FUNCTIONS)
    assert expressions.evaluated(parse(again), sympy, FUNCTIONS) == made


@pytest.mark.parametrize("text", NOT_WRITTEN, ids=str)
def test_what_torch_does_not_write_is_refused(text):
    with pytest.raises(GrammarError):
        parse(text)


@pytest.mark.parametrize("text", TOO_COSTLY, ids=lambda text: text[:30])
def test_what_could_take_too_long_is_refused_at_once(text):
    began = time.process_time()
    with pytest.raises((CostError, GrammarError)):
        parse(text)
    assert time.process_time() - began < 1


def test_a_float_of_a_billion_bits_is_refused():
    with pytest.raises(GrammarError):
        parse("Float('1.5', precision=9000000000)")


@pytest.mark.parametrize(
    "guard",
    [
        "L['x'].size()[0] % 2 == 0",
        "2 <= L['x'].size()[0] and L['x'].size()[0] <= 64",
        "Mod(L['x']['k'].size()[1], 4) == 0",
        "math.floor(L['args'][0].size()[0] / 2) != 0",
    ],
)
def test_a_guard_is_printed_anew_and_means_the_same(guard):
    again = printed_guard(guard)
    assert printed_guard(again) == again
    assert "L['" in again


@pytest.mark.parametrize(
    "guard",
    [
        "__import__('os').mkdir('x')",
        "L['x'].__class__",
        "L['x'].size().__len__()",
        "(lambda: 1)()",
        "[i for i in L]",
        "L['\"); import os; (\"']",
        "L['x'].tofile('f')",
        "9 ** 999999999 == 0",
        "2 ** L['x'].size()[0] == 0",
        "f(L)",
        "L['x'] := 1",
        5,
    ],
    ids=str,
)
def test_a_guard_that_torch_does_not_write_is_refused(guard):
    with pytest.raises(GrammarError):
        printed_guard(guard)
