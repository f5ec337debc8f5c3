"""trtdbg from Python and in notebooks: models, what happens to their dtypes, and pictures.

Reached as `trtdbg.open`. The analysis runs in a worker process, as under the command line, so
torch is never imported here and a crash of TensorRT is an exception.
"""

from __future__ import annotations

import importlib
import os
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trtdbg import __version__, prebuilt
from trtdbg.analysis import by_place, changes, summary
from trtdbg.analysis.causes import why
from trtdbg.analysis.headline import headline
from trtdbg.analysis.names import find_node
from trtdbg.analysis.redaction import redacted
from trtdbg.cache.client import CachingClient
from trtdbg.errors import UnavailableError, UsageError
from trtdbg.files import refuse_existing, write_atomically
from trtdbg.outputs import report_pages, sections
from trtdbg.outputs.picture import LAYOUT_SECONDS, layout, pairs, sides
from trtdbg.outputs.picture.dot import dot
from trtdbg.outputs.picture.pairs import Pair, PictureChange
from trtdbg.outputs.picture.picture import Picture, picture
from trtdbg.outputs.report import encode, is_saved_report, read_report
from trtdbg.policy import (
    Settings,
    Timing,
    TruncationPolicy,
    VerdictSource,
    parse_dtypes,
)
from trtdbg.recordings import folder
from trtdbg.records import (
    Cause,
    EngineRecord,
    Finding,
    LineRow,
    ModuleRow,
    NodeRecord,
    OperatorRow,
    Report,
    WhatChanged,
)
from trtdbg.worker.messages import Access, Analyze, Build, Job

Item = TypeVar("Item")


class Rows(tuple[Item, ...]):
    """A tuple of records that a notebook shows as a table."""

    _section: sections.Section

    @classmethod
    def of(cls, items: Iterable[Item], section: sections.Section) -> Rows[Item]:
        """Returns records with the table that shows them."""
        made = cls(items)
        made._section = section
        return made

    def to_frame(self) -> Any:
        """Returns a `pandas.DataFrame` with a row a record and a column a field.

        Enums are their values; a record in a record is a dict, several are a list.

        Raises:
            UnavailableError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise UnavailableError(
                "to_frame needs pandas", remedy="install it with pip install pandas"
            ) from error
        rows = [msgspec.to_builtins(record) for record in self]
        columns = self[0].__struct_fields__ if self else ()  # type: ignore[attr-defined]
        return pandas.DataFrame(rows, columns=list(columns))

    def _repr_html_(self) -> str:
        return report_pages.table(self._section)


class SharedWorker:
    """The worker process that models of one file share; it ends with the last of them."""

    def __init__(self, access: Access, *, cache: bool = True, file: Any = None) -> None:
        """Prepares it; it starts with the first request that no cache answers.

        Args:
            access: how far the file is trusted.
            cache: take analyses that were made before.
            file: what removes the file when it is no longer referred to.
        """
        self.access = access
        self._file = file
        self.client = CachingClient(read=cache)
        weakref.finalize(self, self.client.close)


class Model:
    """A program under one policy. Nothing is analysed before it is asked for."""

    def __init__(
        self,
        path: str,
        policy: TruncationPolicy,
        settings: Settings,
        worker: SharedWorker | None,
        report: Report | None = None,
    ) -> None:
        """Use `trtdbg.open`."""
        self.path = path
        self.policy = policy
        self.settings = settings
        self._worker = worker
        self._report = report

    @property
    def report(self) -> Report:
        """Everything known about the model under the policy, as frozen records.

        Raises:
            TrtdbgError: the model cannot be analysed; the class says why.
        """
        if self._report is None:
            self._report = self._ask(Analyze)
        return self._report

    @property
    def nodes(self) -> Rows[NodeRecord]:
        """The nodes of the lowered graph, in graph order."""
        return Rows.of(self.report.nodes, sections.node_table(self.report.nodes))

    @property
    def engines(self) -> Rows[EngineRecord]:
        """The engines of the partition."""
        return Rows.of(self.report.engines, sections.engine_table(self.report))

    @property
    def findings(self) -> Rows[Finding]:
        """What is wrong or worth knowing."""
        return Rows.of(self.report.findings, sections.finding_table(self.report))

    @property
    def causes(self) -> Rows[Cause]:
        """Why the model is not one engine; empty if it is."""
        return Rows.of(self.report.causes, sections.cause_table(self.report))

    def why(self, name: str) -> str:
        """Returns why no engine holds an operator, or why TensorRT refuses it in its engine.

        Raises:
            UsageError: there is no such node.
        """
        return why(self.report, self.node(name))

    def by_line(self) -> Rows[LineRow]:
        """Returns what became of each source line, what costs most first."""
        rows = by_place.by_line(self.report)
        return Rows.of(rows, sections.line_table(rows))

    def by_module(self) -> Rows[ModuleRow]:
        """Returns what became of each module, from the model down, each with all below it."""
        rows = by_place.by_module(self.report)
        return Rows.of(rows, sections.module_table(rows))

    def by_operator(self) -> Rows[OperatorRow]:
        """Returns all nodes of each operator, what is left to PyTorch first."""
        rows = by_place.by_operator(self.report)
        return Rows.of(rows, sections.operator_table(rows))

    def node(self, name: str) -> NodeRecord:
        """Returns the node with a name.

        Raises:
            UsageError: there is none.
        """
        return find_node(self.report, name)

    def with_policy(self, policy: TruncationPolicy | None = None, **changes: Any) -> Model:
        """Returns the same model under another policy; this one stays as it is.

        Args:
            policy: the policy; None changes this model's.
            changes: fields of the policy, as `timing="upstream"` or `constants=["int64"]`.
                Lists mean nothing under `off` and `upstream`: one without a timing takes
                `late` in their place, and so does `verdicts="tensorrt"`.

        Raises:
            UsageError: the policy makes no sense, or this is a saved report.
        """
        worker = self._working()
        fields = msgspec.to_builtins(policy or self.policy) | {
            name: sorted(value) if isinstance(value, (tuple, set, list)) else value
            for name, value in changes.items()
        }
        if _means_late(changes) and not Timing(fields["timing"]).follows_lists:
            fields["timing"] = Timing.LATE.value
        unknown = sorted(set(changes) - set(TruncationPolicy.__struct_fields__))
        if unknown:
            names = ", ".join(TruncationPolicy.__struct_fields__)
            raise UsageError(f"a policy has no {unknown[0]!r}", remedy=f"it has {names}")
        try:
            chosen = msgspec.convert(fields, TruncationPolicy)
        except msgspec.ValidationError as error:
            raise UsageError(f"the policy: {error}") from error
        for dtypes in (chosen.inputs, chosen.constants, chosen.computed):
            parse_dtypes(",".join(dtypes) or "none")
        return Model(self.path, chosen, self.settings, worker)

    def diff(self, other: Model) -> Diff:
        """Returns what happens to dtypes from this model to `other`.

        Raises:
            UsageError: one of them has no partitioned graph.
        """
        before, after = (m.policy.timing.value for m in (self, other))
        if before == after:
            before, after = f"{before}, before", f"{after}, after"
        return Diff(
            pairs.compare(
                sides.of_report(self.report, before), sides.of_report(other.report, after)
            ),
            summary.base_name(other.path),
        )

    def what_changed(self, before: Model) -> WhatChanged:
        """Returns what is not the same as in `before`: engines, causes, versions, nodes."""
        return changes.what_changed(before.report, self.report, (before.path, self.path))

    def build(self, save: str | Path | None = None) -> Model:
        """Builds every engine with TensorRT and returns the model with the results.

        Args:
            save: folder that takes the engines and a manifest.

        Raises:
            UnavailableError: this machine cannot build.
        """
        built = self._ask(Build, save=None if save is None else str(save))
        return Model(self.path, self.policy, self.settings, self._worker, built)

    def save(
        self, path: str | Path, *, force: bool = False, redact: bool | str = False
    ) -> None:
        """Writes the report as .json, .md or .html, by the ending of `path`.

        Args:
            path: the file.
            force: replace a file that exists.
            redact: leave out source text, paths and values of constants; "names" makes names
                of modules numbers too.

        Raises:
            UsageError: the ending is none of these.
            OutputError: the file exists and `force` is off, or it cannot be written.
        """
        shown = redacted(self.report, modules=redact == "names") if redact else self.report
        makers = {
            ".json": lambda: encode([shown]),
            ".md": lambda: report_pages.markdown([shown]).encode(),
            ".html": lambda: report_pages.page([shown]).encode(),
        }
        make = makers.get(Path(path).suffix.lower())
        if make is None:
            raise UsageError(f"cannot write {path}", remedy=f"end it with {', '.join(makers)}")
        refuse_existing(path, force=force)
        write_atomically(path, make(), force=force)

    def __repr__(self) -> str:
        """Returns the answer if there is one, and never makes one."""
        known = headline(self._report) if self._report else "not analysed yet"
        return f"<trtdbg.Model {self.path}: {known}>"

    def _repr_html_(self) -> str:
        return report_pages.fragment(self.report)

    def _ask(self, kind: type[Analyze] | type[Build], **more: Any) -> Report:
        worker = self._working()
        job = Job(model=self.path, settings=self.settings, access=worker.access)
        request = kind(job=job, policy=self.policy, **more)
        answer = worker.client.submit(request).result()
        assert isinstance(answer, Report)
        return answer

    def _working(self) -> SharedWorker:
        if self._worker is None:
            prebuilt.refuse(self.path)
            raise UsageError(
                f"the saved report {self.path} holds no program", remedy="open the .pt2 file"
            )
        return self._worker


def _means_late(changes: dict[str, Any]) -> bool:
    """Returns whether changes of a policy have an effect under a timing with lists only."""
    lists = {"inputs", "constants", "computed"} & set(changes)
    asks_tensorrt = changes.get("verdicts") == VerdictSource.TENSORRT
    return "timing" not in changes and (bool(lists) or asks_tensorrt)


class Diff:
    """What happens to dtypes between two models; a notebook shows the picture."""

    def __init__(self, diff: pairs.DtypeDiff, title: str) -> None:
        """Use `Model.diff`."""
        self._diff = diff
        self._title = title

    @property
    def changes(self) -> tuple[Pair, ...]:
        """The nodes whose dtype or verdict changes, or that are only on one side."""
        return tuple(
            pair for pair in self._diff.pairs if pair.change is not PictureChange.SAME
        )

    def dot(self, **look: Any) -> str:
        """Returns the picture as DOT text; see `save` for `look`."""
        return dot(self._picture(**look))

    def save(
        self,
        path: str | Path,
        *,
        force: bool = False,
        seconds: float = LAYOUT_SECONDS,
        **look: Any,
    ) -> None:
        """Writes the picture as .svg, .png, .pdf, .html or .dot, by the ending of `path`.

        Args:
            path: the file.
            force: replace a file that exists.
            seconds: time for the layout; a coarser picture is drawn where it is not enough.
            look: `full=True` draws every node, `around=NODE` and `depth=N` what is near one.

        Raises:
            UsageError: the ending says no format.
            UnavailableError: there is no Graphviz; a .dot file needs none.
            OutputError: the file exists and `force` is off, or it cannot be written.
        """
        kind = Path(path).suffix.lower().removeprefix(".")
        if kind not in layout.FORMATS:
            endings = ", ".join(f".{each}" for each in layout.FORMATS)
            raise UsageError(f"cannot write {path}", remedy=f"end it with {endings}")
        refuse_existing(path, force=force)
        write_atomically(path, self._drawn(kind, seconds, look), force=force)

    def __repr__(self) -> str:
        """Returns what changes, in numbers."""
        return f"<trtdbg.Diff {self._picture().title}: {self._picture().summary[0]}>"

    def _repr_html_(self) -> str:
        return self._drawn("svg", LAYOUT_SECONDS, {}).decode().partition("?>\n")[2]

    def _picture(self, **look: Any) -> Picture:
        return picture(self._diff, self._title, **look)

    def _drawn(self, kind: str, seconds: float, look: dict[str, Any]) -> bytes:
        return layout.drawn(self._diff, self._picture(**look), kind, seconds).data


def open_model(
    model: Any,
    policy: TruncationPolicy,
    settings: Settings | None,
    trust: bool,
    imports: Iterable[str],
    program: str | None = None,
    exporting: Mapping[str, Any] | None = None,
    cache: bool = True,
) -> Model:
    """Returns a model or a saved report; see `trtdbg.open`."""
    _refuse_other_kinds(policy, settings, imports)
    access = Access(program=program, trust=trust, imports=tuple(imports))
    given = {n: v for n, v in (exporting or {}).items() if v is not None}
    if not isinstance(model, (str, os.PathLike)):
        # By name, so that no module reaches torch over this one.
        in_memory = importlib.import_module("trtdbg.recordings.notebook")
        usual = dict.fromkeys(("inputs", "kwargs", "dynamic_shapes"))
        path, file = in_memory.saved(model, **(usual | given))
        return Model(
            path, policy, settings or Settings(), SharedWorker(access, cache=cache, file=file)
        )
    name = os.fspath(model)
    if given:
        raise UsageError(
            f"{next(iter(given))} goes with a module, and {name} is a path",
            remedy="leave it out: a file has its inputs",
        )
    if is_saved_report(name):
        report = read_report(name)
        return Model(name, report.policy, report.settings, None, report)
    if prebuilt.is_compiled(name):
        report = prebuilt.read(name, __version__)
        return Model(name, report.policy, report.settings, None, report)
    if folder.folder_of(name) is not None:
        name = _program(name, program)
        access = msgspec.structs.replace(access, program=None)
    if not Path(name).is_file():
        raise UsageError(f"there is no file {name}", remedy="name a .pt2 file or a report")
    recorded = folder.recorded_program(name)
    usual_settings = Settings() if recorded is None else recorded.settings
    return Model(name, policy, settings or usual_settings, SharedWorker(access, cache=cache))


def _refuse_other_kinds(policy: Any, settings: Any, imports: Any) -> None:
    """Refuses arguments of another kind at once, not when the analysis is asked for.

    Raises:
        UsageError: one is of another kind.
    """
    if not isinstance(policy, TruncationPolicy):
        raise UsageError(
            f"the policy is a {type(policy).__name__}",
            remedy="pass a trtdbg.TruncationPolicy; inputs of a module go to inputs=",
        )
    if not isinstance(settings, Settings | None):
        raise UsageError(
            f"the settings are a {type(settings).__name__}",
            remedy="pass trtdbg.Settings(min_block_size=5, ...)",
        )
    if isinstance(imports, str):
        raise UsageError(f"imports is the text {imports!r}", remedy="pass a list of modules")


def record(model: Any, inputs: Iterable[Any], settings: Mapping[str, Any]) -> Model:
    """Returns a model as torch_tensorrt would compile it; see `trtdbg.record`."""
    notebook = importlib.import_module("trtdbg.recordings.notebook")
    path, place = notebook.record(model, inputs, settings)
    recorded = folder.recorded_program(path)
    assert recorded is not None
    worker = SharedWorker(Access(), file=place)
    policy = TruncationPolicy(timing=Timing.UPSTREAM)
    return Model(path, policy, recorded.settings, worker)


def _program(path: str, name: str | None) -> str:
    """Returns the path of a program of a recording.

    Raises:
        UsageError: the recording has several programs and none is named, or not that one.
    """
    place = folder.folder_of(path) or path
    programs = {each.recorded.name: each.path for each in folder.read(place).programs}
    if name is None and len(programs) == 1:
        return next(iter(programs.values()))
    if name not in programs:
        names = ", ".join(programs)
        said = f"has no program {name!r}" if name else f"has {len(programs)} programs"
        raise UsageError(f"the recording {path} {said}", remedy=f"pass program=, of {names}")
    return programs[name]
