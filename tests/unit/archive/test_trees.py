"""Trees of inputs and outputs: JSON in JSON, whose keys are looked at once they are parsed."""

import json

import pytest
import torch
from torch.utils import _pytree as pytree

from trtdbg.archive.trees import TreeError, loads, rewritten

LEAF = {"type": None, "context": None, "children_spec": []}
ENUM = {"__enum__": True, "fqn": "ctypes:cdll", "name": "/x.so"}


def tree(context, kind="builtins.dict", children=(LEAF,)):
    return json.dumps([1, {"type": kind, "context": context, "children_spec": [*children]}])


def escaped(text, letter="_"):
    return text.replace(letter, f"\\u{ord(letter):04x}", 1)


@pytest.mark.parametrize(
    "value",
    [
        (torch.zeros(1), {"a": [torch.zeros(1), None]}),
        [1, (2, 3), {"k": {"n": 4}}],
        {"x": torch.Size([2, 3])},
        (),
    ],
    ids=str,
)
def test_a_tree_of_torch_means_the_same(value):
    text = pytree.treespec_dumps(pytree.tree_structure(value))
    assert pytree.treespec_loads(rewritten(text)) == pytree.treespec_loads(text)


@pytest.mark.parametrize(
    "context",
    [
        json.dumps([ENUM]),
        escaped(json.dumps([ENUM])),
        escaped(json.dumps([ENUM]), "e"),
        json.dumps([ENUM]).replace(
            "__enum__", "".join(f"\\u{ord(c):04X}" for c in "__enum__")
        ),
        json.dumps({"deep": [[[ENUM]]]}),
        json.dumps([json.dumps([ENUM])]),
        json.dumps([json.dumps([json.dumps([ENUM])])]),
        json.dumps([escaped(json.dumps(ENUM))]),
        [ENUM],
        ENUM,
        {"default_factory_module": "os", "default_factory_name": "getcwd", "dict_context": []},
        {"default_factory_module": "builtins", "default_factory_name": "eval"},
        '{"a": 1, "a": 2}',
        '["\\ud800"',
        "[NaN]",
        "[1] // x",
        "\ufeff[1]",
        f"[{'9' * 100}]",
        "[" * 100_000,
        "(1)",
    ],
    ids=lambda context: str(context)[:40],
)
def test_a_context_that_could_import_or_read_in_two_ways_is_refused(context):
    with pytest.raises(TreeError):
        rewritten(tree(context))


@pytest.mark.parametrize(
    "text",
    [
        "[2, {}]",
        "[1]",
        "x",
        json.dumps([1, LEAF | {"more": 1}]),
        json.dumps([1, LEAF | {"children_spec": [LEAF]}]),
        json.dumps([1, {"type": 'a"; import os', "context": None, "children_spec": []}]),
        7,
    ],
    ids=str,
)
def test_what_is_no_tree_is_refused(text):
    with pytest.raises(TreeError):
        rewritten(text)


def test_a_deep_tree_is_refused_and_not_a_crash():
    deep = LEAF
    for _ in range(150):
        deep = {"type": "builtins.tuple", "context": "null", "children_spec": [deep]}
    with pytest.raises(TreeError):
        rewritten(json.dumps([1, deep]))


def test_a_keyword_argument_whose_name_is_code_is_refused():
    names = json.dumps(["x=__import__('os')"])
    call = [
        {"type": "builtins.tuple", "context": "null", "children_spec": []},
        {"type": "builtins.dict", "context": names, "children_spec": [LEAF]},
    ]
    text = tree("null", "builtins.tuple", call)
    assert rewritten(text)
    with pytest.raises(TreeError):
        rewritten(text, arguments=True)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "[Infinity]", "[-NaN]", "[" * 50_000])
def test_json_that_leaves_room_for_two_readings_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        loads(text)
