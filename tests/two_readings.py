"""What a program is made of, to compare two readings of one archive."""

import torch


def parts(program):
    """Returns what a program is made of, to compare two readings."""
    nodes = [
        (node.op, node.name, str(node.target), str(node.args), str(node.meta.get("val")))
        for module in program.graph_module.modules()
        if isinstance(module, torch.fx.GraphModule)
        for node in module.graph.nodes
    ]
    tensors = {
        name: (value.dtype, value.shape, value.stride(), value.requires_grad, type(value))
        for name, value in [*program.state_dict.items(), *program.constants.items()]
    }
    return (
        nodes,
        tensors,
        str(program.graph_signature),
        str(program.range_constraints),
        str(program.call_spec),
        [str(entry) for entry in program.module_call_graph],
        len(program._guards_code or ()),
    )


def same_values(one, other):
    for name, value in [*one.state_dict.items(), *one.constants.items()]:
        there = other.state_dict.get(name, other.constants.get(name))
        assert torch.equal(value, there), name
