"""The promised dtype of a node has the form of the node's own value."""

import pytest

from trtdbg.analysis.summary import is_retyped
from trtdbg.records import NodeRecord


@pytest.mark.usefixtures("torch_tensorrt_ready")
@pytest.mark.parametrize(
    ("own", "wanted", "place", "said"),
    [
        ("float32", "float64", None, "float64"),
        ("float32", ("float64", "float64"), None, "float64"),
        # Which of the promised outputs an operator inside a GRU makes, nobody knows.
        ("float32", ("float32", "int64"), None, "float32"),
        ("int64", ("float32", "int64"), 1, "int64"),
        (
            ("float16", "float32", "float32"),
            "float16",
            None,
            ("float16", "float32", "float32"),
        ),
        (("float32", "int64"), ("float64", "int64"), None, ("float64", "int64")),
        (("float32",), ("float64", "int64"), None, ("float32",)),
        (None, "float32", None, None),
        ("float32", None, None, "float32"),
    ],
)
def test_a_promise_has_the_form_of_the_value(own, wanted, place, said):
    from trtdbg.session.promises import in_form_of

    assert in_form_of(own, wanted, place) == said


@pytest.mark.parametrize(
    ("original", "inferred", "retyped"),
    [
        ("float32", ("float32", "float32", "float32"), False),
        ("float64", ("float32", "float32", "float32"), True),
        (("float32", "int64"), ("float32", "int64"), False),
        (("float32", "int64"), ("float32", "int32"), True),
    ],
)
def test_several_outputs_of_one_dtype_are_not_retyped(original, inferred, retyped):
    node = NodeRecord(
        name="norm",
        op="call_function",
        target="aten.native_layer_norm.default",
        original=original,
        inferred=inferred,
        truncated=inferred,
    )
    assert is_retyped(node) is retyped


@pytest.mark.usefixtures("torch_tensorrt_ready")
def test_parts_of_a_split_have_their_own_dtype_and_not_that_of_the_output_their_dim_counts(
    tmp_path,
):
    # split is decomposed to slices whose second argument is a dim, and no output's index.
    report = _analysed(tmp_path)
    for node in report.nodes:
        if node.op != "output":
            assert type(node.original) is type(node.inferred), node.name
            assert node.original == node.inferred, node.name
    assert any(isinstance(node.original, tuple) for node in report.nodes)
    assert [node.name for node in report.nodes if is_retyped(node)] == []


def _analysed(folder):
    import torch

    from trtdbg.policy import Settings, Timing, TruncationPolicy
    from trtdbg.session.session import Session
    from trtdbg.worker.messages import Job

    class Mixed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = torch.nn.GRU(4, 6, batch_first=True)
            self.norm = torch.nn.LayerNorm(6)

        def forward(self, x):
            steps, last = self.gru(x)
            left, right = self.norm(steps).split([2, 4], -1)
            best, place = torch.topk(right, 2)
            mean = torch.var_mean(left, dim=1)
            return best, place, last, mean[0]

    path = folder / "mixed.pt2"
    torch.export.save(torch.export.export(Mixed().eval(), (torch.randn(2, 3, 4),)), path)
    job = Job(model=str(path), settings=Settings(), probe_seconds=0)
    return Session(job, lambda event: None).analyze(TruncationPolicy(timing=Timing.LATE))
