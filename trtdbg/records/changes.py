"""What changed between two analyses of a model."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records.causes import Cause
from trtdbg.records.graph import Dtype, Record, Shape, Source
from trtdbg.records.verdicts import Verdict

CHANGED_SCHEMA = "trtdbg.changed/1"


class Before(Record, frozen=True, kw_only=True):
    """One thing that is not the same: a version, a field of the policy, a setting, a count."""

    name: str
    before: str
    after: str


class CauseChange(Record, frozen=True, kw_only=True):
    """A cause that both analyses have, with another number of places."""

    cause: Cause
    """As it is after."""
    before: int
    """Places before."""
    after: int


class NodeChangeKind(StrEnum):
    """What happened to a node; several can have happened to one."""

    ADDED = "added"
    REMOVED = "removed"
    RETYPED = "retyped"
    """The inferred dtype is another: what PyTorch computes."""
    RESHAPED = "reshaped"
    """The shape is another; the names of dynamic sizes do not count."""
    NARROWED_OTHERWISE = "narrowed_otherwise"
    """Only the truncated dtype is another."""
    TURNED = "turned"
    """The verdict is another."""
    MOVED_IN = "moved_in"
    """An engine holds it now."""
    MOVED_OUT = "moved_out"
    """No engine holds it any more."""
    RENAMED_MODULE = "renamed_module"
    """The same operator, in a module of another path."""


class NodeChange(Record, frozen=True, kw_only=True):
    """A node that is not on both sides, or not the same on both."""

    kinds: tuple[NodeChangeKind, ...]
    name: str
    """Its name after, or before if it was removed."""
    before: str | None
    """Its name before; None if it was added."""
    op: str
    target: str
    source: Source | None = None
    """Where it comes from after, or before if it was removed."""
    dtype_before: Dtype = None
    """Of kind `narrowed_otherwise` truncated, else inferred dtypes."""
    dtype_after: Dtype = None
    shape_before: Shape = None
    """Only of kind `reshaped`."""
    shape_after: Shape = None
    verdict_before: Verdict | None = None
    verdict_after: Verdict | None = None
    module_before: str | None = None
    module_after: str | None = None


class LineChange(Record, frozen=True, kw_only=True):
    """A source line whose text changed while operators that it made stayed."""

    file: str
    line: int | None
    """Its number after."""
    before: str
    after: str


class WhatChanged(Record, frozen=True, kw_only=True):
    """Two analyses, before and after an edit, an upgrade, or a switch of policy."""

    schema: str = CHANGED_SCHEMA
    before: str
    """Path of the model, or of the saved report, as it was given."""
    after: str
    versions: tuple[Before, ...] = ()
    """trtdbg, torch, torch_tensorrt, TensorRT and its flavour, GPU, where they differ."""
    policy: tuple[Before, ...] = ()
    """Fields of policy and settings that differ."""
    ended: Before | None = None
    """What ended the analyses, if one ended early; "" of one that did not."""
    engines: tuple[int, int] = (0, 0)
    """Before and after, here and below."""
    torch_ops: tuple[int, int] = (0, 0)
    boundary_casts: tuple[int, int] = (0, 0)
    failed_builds: tuple[int, int] = (0, 0)
    causes_gone: tuple[Cause, ...] = ()
    causes_new: tuple[Cause, ...] = ()
    causes_changed: tuple[CauseChange, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    """In graph order; what was removed stands at the end."""
    lines: tuple[LineChange, ...] = ()
    matched: int = 0
    """Nodes that are on both sides."""
