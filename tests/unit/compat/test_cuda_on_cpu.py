"""What `--device cpu` puts on the CPU, and that it is undone."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from trtdbg.compat.patches import ON_CPU
from trtdbg.compat.private import object_of

pytestmark = pytest.mark.usefixtures("torch_tensorrt_ready")


def test_everything_is_as_before_also_after_an_exception() -> None:
    import torch

    from trtdbg.compat.cuda_on_cpu import patched_cuda

    before = [object_of(patch) for patch in ON_CPU]
    with contextlib.suppress(RuntimeError), patched_cuda(print):
        assert all(
            object_of(patch) is not was for patch, was in zip(ON_CPU, before, strict=True)
        )
        raise RuntimeError
    assert [object_of(patch) for patch in ON_CPU] == before
    with pytest.raises((AssertionError, RuntimeError)):
        torch.ones(2, device="cuda")


def test_every_spelling_of_the_device_is_taken(tmp_path: Any) -> None:
    import torch

    from trtdbg.compat.cuda_on_cpu import patched_cuda

    torch.save(torch.ones(2), tmp_path / "t.pt")
    with patched_cuda(print):
        made = [
            torch.ones(2, device="cuda"),
            torch.ones(2, device="cuda:1"),
            torch.ones(2, device=0),
            torch.ones(2).to("cuda", torch.float64),
            torch.ones(2).to(torch.device("cuda", 0)),
            torch.ones(2).cuda(0),
            torch.ones(2, pin_memory=True),
            torch.load(tmp_path / "t.pt", map_location="cuda"),
            torch.tensor([1.0], device="cuda"),
            torch.nn.Linear(2, 2).cuda().weight,
            torch.nn.Linear(2, 2, device="cuda").to("cuda:0").weight,
        ]
        assert isinstance(torch.Generator(device="cuda"), torch.Generator)
    assert {each.device.type for each in made} == {"cpu"}


def test_autocast_of_cuda_casts_on_the_cpu_and_says_so() -> None:
    import torch

    from trtdbg.compat.cuda_on_cpu import patched_cuda

    said: list[str] = []
    with patched_cuda(said.append), torch.autocast("cuda"):
        made = torch.ones(2, 2) @ torch.ones(2, 2)
    assert made.dtype is torch.float16
    assert "lists of operators differ" in said[0]
