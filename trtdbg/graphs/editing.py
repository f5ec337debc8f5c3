"""Edits an exported program as its author could: nodes written in front of others, in place.

This is ground for the stages that try an edit, not a stage.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from trtdbg.graphs.graph import captured_log, output_node, target_name
from trtdbg.graphs.splits import fake_mode_of
from trtdbg.graphs.variants import Workbench

_CARRIED = ("stack_trace", "nn_module_stack", "from_node", "torch_fn")
"""Metadata that says where a node comes from."""

ASSERTION = torch.ops.aten._assert_tensor_metadata.default


class EditError(Exception):
    """The edit cannot be made here, and why."""


class Editor:
    """Changes the graph of one exported program in place; names of values stay."""

    def __init__(self, program: ExportedProgram) -> None:
        """Takes a program whose graph is its own; see `copy_program`."""
        self.program = program
        self.graph: Graph = program.graph_module.graph
        self.nodes: dict[str, Node] = {node.name: node for node in self.graph.nodes}
        self.bench = Workbench(fake_mode_of(program.graph_module), {})

    def call(self, like: Node, target: Any, *args: Any, after: bool = False) -> Node:
        """Returns a new call written before (or after) a node, on the node's source line.

        Raises:
            EditError: PyTorch cannot compute it.
        """
        place = self.graph.inserting_after if after else self.graph.inserting_before
        with place(like):
            made: Node = self.graph.call_function(target, args)
        made.meta.update({key: like.meta[key] for key in _CARRIED if key in like.meta})
        self.compute(made)
        return made

    def compute(self, node: Node) -> None:
        """Writes the value of a node anew from what it reads.

        Raises:
            EditError: PyTorch cannot compute it.
        """
        with captured_log("torch._subclasses.fake_tensor", logging.CRITICAL):
            computed = self.bench.recompute(node)
        if not computed:
            raise EditError(f"PyTorch cannot compute {node.name} ({target_name(node)})")

    def with_results(self, node: Node, wrap: Callable[[Node], Node]) -> None:
        """Gives every reader of a node's results what `wrap` makes of them.

        A node of several results has `wrap` called for each that is taken out.
        """
        taken = [user for user in node.users if user.target is operator.getitem]
        for value in taken or [node]:
            if not value.users:
                continue
            wrapped = wrap(value)
            value.replace_all_uses_with(
                wrapped, delete_user_cb=lambda user, end=wrapped: user is not end
            )
            self._take_name(wrapped, value)

    def replace(self, node: Node, target: Any, args: tuple[Any, ...]) -> None:
        """Makes another call of a node in place."""
        node.target, node.args, node.kwargs = target, args, {}
        self.compute(node)

    def bypass(self, node: Node, value: Node) -> None:
        """Gives the readers of a node another value of the graph instead."""
        if node in output_node(self.graph).all_input_nodes:
            raise EditError(f"{node.name} is an output of the program")
        node.replace_all_uses_with(value)

    def refresh(self) -> None:
        """Types every call anew, in order, and drops what nothing reads any more.

        Raises:
            EditError: PyTorch refuses one in its new dtypes.
        """
        self.drop_assertions()
        for node in self.graph.nodes:
            if node.op == "call_function":
                self.compute(node)

    def drop_assertions(self) -> None:
        """Drops what export wrote down about dtypes; the edit may change them."""
        for node in list(self.graph.nodes):
            if node.target is ASSERTION:
                self.graph.erase_node(node)

    def finished(self) -> ExportedProgram:
        """Returns the program, checked to be whole.

        Raises:
            Exception: it is not, as where its signature names another output.
        """
        self.graph.eliminate_dead_code()
        self.graph.lint()
        self.program.graph_module.recompile()
        self.program.validate()
        return self.program

    def _take_name(self, new: Node, old: Node) -> None:
        # The signature finds outputs by name, and so does whatever traces a node back.
        old.name, new.name = new.name, old.name
