"""Orders the stages for one program, keeps what they made, and reports progress.

Loading and capture do not depend on the policy and run once; everything behind them is kept
per policy, so that switching back is instant.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import torch
from torch.export import ExportedProgram
from torch.utils._pytree import tree_unflatten

from trtdbg.analysis.causes import derive
from trtdbg.analysis.findings import Evidence, find
from trtdbg.analysis.summary import unasked_line
from trtdbg.analysis.versions import unread_line
from trtdbg.archive.load import LoadedProgram
from trtdbg.compat import host
from trtdbg.compat.autocast import upstream_rules
from trtdbg.compat.patches import absent_patches
from trtdbg.errors import StageError, UnavailableError, UsageError
from trtdbg.graphs.deviations import Tolerance
from trtdbg.graphs.graph import first_line, recorded_dtype
from trtdbg.graphs.operator_names import check_operators
from trtdbg.policy import (
    Precision,
    Settings,
    TruncationPolicy,
    VerdictSource,
    searched,
    truncates_double,
    unpartitioned,
    upstream_precision,
)
from trtdbg.recordings.folder import recorded_program
from trtdbg.records import (
    Binding,
    Capability,
    Cause,
    Dtype,
    Front,
    LowDecision,
    ModelInfo,
    PassRecord,
    Recorded,
    Report,
    TypingKind,
    ValueRange,
)
from trtdbg.records.precision import LowRanking, LowTrial, UpstreamSettings
from trtdbg.session import advice, execution, reasons, recipes, runnable
from trtdbg.session.analysed import Analysed, Context
from trtdbg.session.attempts import attempt, lowering_attempt
from trtdbg.session.builder import Builder
from trtdbg.session.cures import Trials
from trtdbg.session.engine_cache import EngineCache
from trtdbg.session.headlines import Headlines
from trtdbg.session.leak_cures import leak_cures
from trtdbg.session.low_trials import LowTrials, upstream_settings
from trtdbg.session.lowered import FailedLowering, Lowered
from trtdbg.session.measured import measure
from trtdbg.session.node_rows import last_rows
from trtdbg.session.opening import opened
from trtdbg.session.probe_cache import ProbeCache
from trtdbg.session.runnable import Built
from trtdbg.session.steps import Steps
from trtdbg.stages import infer, validate
from trtdbg.stages.capture import Captured, capture, compilation_settings, copy_program
from trtdbg.stages.inputs import program_inputs
from trtdbg.stages.ranges import see_ranges
from trtdbg.worker.limits import LOAD_STAGE
from trtdbg.worker.messages import (
    DEFAULT_ATOL,
    DEFAULT_RTOL,
    PROGRAM,
    Asking,
    Attempt,
    Attempted,
    ExpressLow,
    Job,
    Lessons,
    Log,
    LogLevel,
    News,
    Progress,
    RankLow,
    TryLow,
    native_path,
)


class _Analysis:
    """A report together with the networks that a later build needs."""

    def __init__(self, report: Report, analysed: Analysed) -> None:
        self.analysed = analysed
        self.report = self.judged(report)

    def judged(self, report: Report) -> Report:
        """Returns the report with the causes and findings that follow from it."""
        report = msgspec.structs.replace(report, findings=(), causes=derive(report))
        findings = find(report, self.analysed.evidence)
        return msgspec.structs.replace(report, findings=findings)


class Session:
    """One program with its compilation settings, analysed under any number of policies."""

    def __init__(
        self,
        job: Job,
        emit: Callable[[News | Asking], None],
        loaded: LoadedProgram | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        """Prepares torch_tensorrt and loads the program.

        Args:
            job: the program and how it is to be compiled.
            emit: takes progress and log lines.
            loaded: the job's program where it is not in a file; `job.model` then names it.
            lessons: what earlier workers ended on.

        Raises:
            UnavailableError: torch_tensorrt is missing.
            ModelError: the file cannot be read.
            UsageError: the target is unknown.
        """
        self._emit = emit
        self._settings = job.settings
        self._probe_seconds = job.probe_seconds
        self._progress(LOAD_STAGE, job.model)
        host.prepare()
        for text in absent_patches():
            level = LogLevel.WARNING
            emit(Log(source="trtdbg", level=level, text=text, standing=True))
        self.environment = host.describe()
        unread = unread_line(self.environment)
        if unread is not None:
            emit(Log(source="trtdbg", level=LogLevel.WARNING, text=unread))
        self._target = host.resolve_target(job.target, self.environment)
        self._recorded = recorded_program(native_path(job.model)) if loaded is None else None
        self._loaded = loaded or opened(job)
        check_operators(job.settings.torch_executed_ops, self._loaded.program.graph)
        self._trusted = job.access.trust
        self._exported: dict[str, Dtype] = {
            node.name: recorded_dtype(node) for node in self._loaded.program.graph.nodes
        }
        self._builder = Builder(self.environment, self._target, self._capability, emit)
        self._cache = ProbeCache(self.environment, self._target, lessons)
        self._cache.memory.announce = lambda asked: emit(Asking(questions=tuple(asked)))
        self._lowered: dict[tuple[bool, Precision], Lowered | FailedLowering] = {}
        self._analyses: dict[TruncationPolicy, _Analysis] = {}
        self._ranges: dict[str, Mapping[str, ValueRange]] = {}
        self._trials: tuple[Any, LowTrials] | None = None
        self._headlines = Headlines(self._lower_with)

    def sibling(self, job: Job) -> Session:
        """Returns a session of the same program that partitions it in another way.

        What does not depend on the partition is shared: the program, lowering and its
        verdicts, and what TensorRT answered.

        Args:
            job: the same job but for minimum block size and partitioner.
        """
        other = copy.copy(self)
        other._settings = job.settings
        other._analyses, other._trials = {}, None
        # What lowers differs by settings; the numbers are kept by settings too.
        other._headlines = self._headlines
        return other

    @property
    def settings(self) -> Settings:
        """Compilation settings in force."""
        return self._settings

    @property
    def loaded(self) -> LoadedProgram:
        """The program as it was opened; it must not be changed."""
        return self._loaded

    @property
    def program(self) -> ExportedProgram:
        """The exported program; it must not be changed."""
        return self._loaded.program

    def variant(
        self, program: ExportedProgram | None = None, settings: Settings | None = None
    ) -> Session:
        """Returns a session of the program edited, or compiled with other settings.

        It lowers anew; what TensorRT answered is shared.
        """
        other = copy.copy(self)
        other._lowered, other._analyses, other._ranges = {}, {}, {}
        other._trials = None
        other._headlines = Headlines(other._lower_with)
        if settings is not None:
            other._settings = settings
        if program is not None:
            other._loaded = replace(self._loaded, program=program)
            other._exported = {n.name: recorded_dtype(n) for n in program.graph.nodes}
        return other

    def cures(self, policy: TruncationPolicy, seconds: float) -> Report:
        """Returns the report with what was tried against each cause, and helped.

        Args:
            policy: the analysis whose causes are to be cured.
            seconds: after which no further trial is begun.
        """
        analysis = self._analysis(policy)
        evidence = analysis.analysed.evidence
        with self._answers_kept():
            causes = Trials(self, policy, seconds).all_cures(self._weighed_causes(analysis))
            report = msgspec.structs.replace(analysis.report, causes=causes)
            if evidence.leak_cures is None:
                evidence.leak_cures = leak_cures(self, policy, report)
        analysis.report = analysis.judged(report) if evidence.leak_cures else report
        return analysis.report

    def analyze(self, policy: TruncationPolicy, *, headline: bool = False) -> Report:
        """Returns the report under a policy, networks defined and nothing built.

        Args:
            policy: what is truncated, and when.
            headline: count what `torch_tensorrt.compile` and `late` make of the program too.

        Raises:
            UsageError: the policy asks for what this version cannot do.
        """
        analysis = self._analysis(policy)
        if not headline:
            return analysis.report
        own = Settings.as_compiled() if self._recorded is None else self._recorded.settings
        with self._answers_kept():
            made = self._headlines.of(
                analysis.report, analysis.analysed, self._context(policy), own
            )
        # Not kept: a later answer shows what was asked for, whatever was asked before.
        return msgspec.structs.replace(analysis.report, headline=made)

    def build(
        self,
        policy: TruncationPolicy,
        engines: tuple[int, ...] | None = None,
        save: str | None = None,
        *,
        cache: bool = True,
        runs: int = 0,
    ) -> Report:
        """Builds engines, all by default, and returns the report with the build records.

        An engine that is built already is built again only if it is to be saved or run.

        Args:
            policy: the analysis whose engines are built.
            engines: indices; None is all.
            save: folder that takes the engines and a manifest; None saves nothing.
            cache: take engines that were built of the same before, and keep new ones.
            runs: timed runs on the GPU, if this machine has one; 0 times nothing.

        Raises:
            UnavailableError: this machine cannot build.
            UsageError: an engine index is out of range, or the policy cannot be followed.
            OutputError: the folder to save to cannot be written.
        """
        self._builder.require()
        analysis = self._analysis(policy)
        running = runs > 0 and self._capability("run and time engines").possible
        records, built = self._builder.build(
            analysis.analysed,
            analysis.report.engines,
            engines,
            cache=cache,
            keep=save is not None or running,
        )
        report = msgspec.structs.replace(analysis.report, engines=tuple(records))
        if running:
            report = self._run(policy, analysis.analysed, built, report, runs)
        analysis.report = analysis.judged(report)
        if save is None:
            return analysis.report
        self._progress("save", save)
        saved = runnable.save(
            save,
            analysis.analysed,
            built,
            report,
            self._target,
            self._options(policy),
            self._call(),
        )
        return msgspec.structs.replace(analysis.report, saved=saved)

    def _call(self) -> runnable.Call:
        """Returns what the program is called with: its example inputs, or random ones."""
        given = program_inputs(self._loaded.program, self._loaded.example_inputs)
        spec = self._loaded.program.call_spec.in_spec
        args, kwargs = tree_unflatten(list(given.values), spec)
        return tuple(args), dict(kwargs)

    def _run(
        self,
        policy: TruncationPolicy,
        analysed: Analysed,
        built: list[Built],
        report: Report,
        runs: int,
    ) -> Report:
        """Returns a report with run times, or with why there are none."""
        reason = runnable.missing(analysed, built, report, self._target)
        if reason is not None:
            reason = f"it lacks {reason}"
        else:
            self._progress("time", f"{runs} runs")
            try:
                return execution.timed(
                    self._loaded.program,
                    analysed,
                    {each.record.name: each.serialized for each in built},
                    report,
                    program_inputs(self._loaded.program, self._loaded.example_inputs),
                    self._options(policy),
                    runs,
                )
            except Exception as error:
                # The engines are built; that they cannot be run here is a part of the answer.
                reason = first_line(error)
        engines = execution.unavailable(report.engines, reason)
        return msgspec.structs.replace(report, engines=tuple(engines))

    def compile(self, policy: TruncationPolicy) -> torch.nn.Module:
        """Builds every engine and returns a module of engines and PyTorch parts that runs.

        Raises:
            UnavailableError: this machine has no CUDA device to run engines on.
            UsageError: the target is not the GPU of this machine.
            StageError: lowering, partitioning, the boundary repair or a build failed.
        """
        running = self._capability("run and time engines")
        if not running.possible:
            raise UnavailableError(
                f"a compiled module runs engines, which cannot be done here: {running.reason}",
                remedy="`trtdbg build MODEL --save DIR` writes the engines and the program "
                "around them without one",
            )
        if not runnable.runs_here(self._target, self.environment):
            raise UsageError(
                f"engines for {self._target} do not run on the GPU of this machine",
                remedy="leave the target out",
            )
        analysis = self._analysis(policy)
        obstacle = runnable.obstacle(analysis.analysed)
        if obstacle is not None:
            raise StageError(f"the program cannot be compiled: {obstacle}")
        serialized: dict[str, bytes] = {}
        engines_kept = EngineCache()
        for record in analysis.report.engines:
            self._progress("build", record.name, record.index, len(analysis.report.engines))
            build, made = self._builder.build_one(
                analysis.analysed, record.index, engines_kept
            )
            if made is None:
                raise StageError(f"engine {record.index} does not build: {build.error}")
            serialized[record.name] = made
        return runnable.assembled(analysis.analysed, serialized, self._options(policy))

    def _options(self, policy: TruncationPolicy) -> Any:
        """Returns torch_tensorrt's settings that engines run with."""
        return compilation_settings(
            self._settings, truncate_double=truncates_double(policy, self._settings)
        )

    def numerics(
        self,
        policy: TruncationPolicy,
        inputs: str | None = None,
        seed: int | None = None,
        atol: float = DEFAULT_ATOL,
        rtol: float = DEFAULT_RTOL,
        *,
        accumulate_low: bool = False,
    ) -> Report:
        """Runs the original and the truncated program and returns the report with the errors.

        Args:
            policy: what is truncated.
            inputs: a `.pt` or `.npz` file; None takes the example inputs of the model.
            seed: of random inputs, which a seed asks for; None takes them, with seed 0, only
                where the model holds no example inputs.
            atol: a float may differ by `atol + rtol * |original|`.
            rtol: see atol.
            accumulate_low: add up in the low type of the policy too, and not in float32.

        Raises:
            UsageError: the inputs cannot be read or are not what the program takes, or the
                policy cannot be followed.
            UnavailableError: the file needs a library that is not installed.
        """
        # First, so that a wrong file is refused before the analysis.
        given = program_inputs(self._loaded.program, self._loaded.example_inputs, inputs, seed)
        analysis = self._analysis(policy)
        measured = measure(
            self._lower(truncate_double=False),
            analysis.analysed,
            analysis.report,
            given,
            Tolerance(atol, rtol),
            self._progress,
            accumulate_low=accumulate_low,
        )
        report = msgspec.structs.replace(analysis.report, numerics=measured)
        analysis.report = analysis.judged(report)
        return analysis.report

    def _weighed_causes(self, analysis: _Analysis) -> tuple[Cause, ...]:
        """Returns the causes of an analysis with what each costs."""
        report, graph = analysis.report, analysis.analysed.partitioned
        if graph is None:
            return report.causes
        return advice.weigh_causes(
            report,
            graph,
            self._options(report.policy),
            self._progress,
        )

    def weigh(
        self, policy: TruncationPolicy, *, consequences: bool, suggestion: bool
    ) -> Report:
        """Returns the report with what to do about refusals; empty if lowering failed.

        Args:
            policy: the analysis to weigh.
            consequences: say what accepting each refused node alone would change.
            suggestion: search the least truncation that accepts the most nodes.
        """
        analysis = self._analysis(policy)
        graph = analysis.analysed.partitioned
        if graph is None:
            return analysis.report
        report = analysis.report
        if consequences:
            weighed = advice.weigh_refusals(
                report,
                graph,
                self._options(policy),
                self._progress,
            )
            report = msgspec.structs.replace(report, consequences=weighed)
        if suggestion:
            plain = self._lower(truncate_double=False)
            assert isinstance(plain, Lowered)
            suggested = advice.suggest(
                plain.inferred,
                compilation_settings(self._settings, truncate_double=False),
                policy.verdicts,
                self.analyze,
                self._progress,
            )
            report = msgspec.structs.replace(report, suggestion=suggested)
        analysis.report = report
        return report

    def reproduce(
        self, policy: TruncationPolicy, nodes: tuple[str, ...], codes: tuple[str, ...]
    ) -> Report:
        """Returns the report with a recipe for each failure of a validator.

        Args:
            policy: the analysis that the failures are of.
            nodes: nodes to reproduce; all if empty.
            codes: findings to reproduce; all if empty.

        Raises:
            UsageError: there is no such node.
        """
        analysis = self._analysis(policy)
        lowered, _ = self._lowering_of(policy)
        original = analysis.analysed.captured.module
        if original is None or isinstance(lowered, FailedLowering):
            return msgspec.structs.replace(analysis.report, recipes=())
        truncated = lowered.truncated(policy).module
        made = recipes.recipes(
            analysis.report, original, truncated, self._settings, nodes, codes
        )
        return msgspec.structs.replace(analysis.report, recipes=made)

    def attempt(self, request: Attempt) -> Attempted:
        """Builds an engine or a part of it alone and returns what TensorRT said.

        Of `PROGRAM` the program, or a part of it, is lowered in place of that.

        Raises:
            UnavailableError: this machine cannot build.
            UsageError: there is no such engine.
            StageError: there are no engines, or the part cannot be cut out or written down.
            OutputError: it cannot be saved.
        """
        if request.engine == PROGRAM:
            return self._lowered_alone(request)
        self._builder.require()
        analysed = self._analysis(request.policy).analysed
        return attempt(request, analysed, self._options(request.policy), self._target)

    def _lowered_alone(self, request: Attempt) -> Attempted:
        if self._front is not Front.EXPORT:
            raise StageError("a graph that torch.compile handed on is no exported program")

        def lower(program: ExportedProgram) -> Captured:
            return capture(
                program,
                self._with_autocast(Precision.NONE),
                truncate_double=truncates_double(request.policy, self._settings),
                emit=self._progress,
            )

        return lowering_attempt(request, self._loaded.program, lower)

    def rank_low(self, request: RankLow) -> LowRanking:
        """Returns the operators that a search can keep in float32.

        Raises:
            UsageError: the inputs cannot be read or are not what the program takes.
            StageError: the program does not lower.
        """
        trials = self._low_trials(request)
        return trials.ranking(
            [str(name) for name in self.program.graph_signature.user_outputs]
        )

    def try_low(self, request: TryLow) -> LowTrial:
        """Returns how the outputs come out with some operators kept; raises as `rank_low`."""
        return self._low_trials(request).trial(request.keep)

    def express_low(self, request: ExpressLow) -> UpstreamSettings:
        """Returns settings of torch_tensorrt that keep a set, tried through its own pass."""
        lowered = self._lower(truncate_double=False)
        if isinstance(lowered, FailedLowering):
            raise StageError(lowered.error())
        return upstream_settings(
            self.program,
            lowered.module,
            request.keep,
            request.policy,
            self._settings,
            self._progress,
        )

    def _low_trials(self, request: RankLow | TryLow) -> LowTrials:
        policy = searched(request.policy)
        how = (request.inputs, request.rtol, request.atol, request.accumulate_low)
        key = (policy, *how)
        if self._trials is not None and self._trials[0] == key:
            return self._trials[1]
        lowered = self._lower(truncate_double=False)
        if isinstance(lowered, FailedLowering):
            raise StageError(lowered.error())
        program, examples = self._loaded.program, self._loaded.example_inputs
        given = tuple(
            program_inputs(program, examples, path) for path in request.inputs or (None,)
        )
        report = self.analyze(policy)
        decided = {n.name: n.low for n in report.nodes if n.low is not None}
        trials = LowTrials(
            lowered.truncated(policy).module,
            lowered.inferred.module,
            policy,
            decided,
            given,
            request.rtol,
            request.atol,
            self._progress,
            request.accumulate_low,
        )
        self._trials = (key, trials)
        return trials

    def _capability(self, name: str) -> Capability:
        return next(c for c in self.environment.capabilities if c.name == name)

    def _progress(
        self, stage: str, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        self._emit(Progress(stage=stage, detail=detail, done=done, total=total))

    def _analysis(self, policy: TruncationPolicy) -> _Analysis:
        self._check(policy)
        if policy not in self._analyses:
            self._analyses[policy] = self._analyze(policy)
        return self._analyses[policy]

    def _check(self, policy: TruncationPolicy) -> None:
        if policy.verdicts is not VerdictSource.TENSORRT:
            return
        if policy.timing.is_upstream:
            raise UsageError(
                "timing upstream does what torch_tensorrt does, and it asks validators only",
                remedy="use --verdicts validators, or another --timing",
            )
        networks = self._capability("define networks")
        if not networks.possible:
            raise UnavailableError(f"TensorRT cannot be asked here: {networks.reason}")

    def _analyze(self, policy: TruncationPolicy) -> _Analysis:
        lowered, autocast_failure = self._lowering_of(policy)
        if isinstance(lowered, FailedLowering):
            return self._failed_lowering(policy, lowered.captured)
        with self._answers_kept():
            analysed = Steps(self._context(policy, autocast_failure), policy, lowered).run()
        if analysed.captured.module is None:
            return self._failed_lowering(policy, analysed.captured)
        report = msgspec.structs.replace(
            self._report(policy),
            passes=analysed.passes,
            graph_nodes=analysed.pool,
            nodes=analysed.nodes,
            subgraphs=analysed.subgraphs,
            engines=analysed.engines,
            torch_ops=analysed.torch_ops,
            boundary_casts=analysed.casts,
            low_casts=analysed.low_casts,
            constants=analysed.constants,
            validators=validate.validator_sources(analysed.captured.module),
        )
        unasked = unasked_line(report)
        if unasked is not None:
            self._emit(Log(source="trtdbg", level=LogLevel.WARNING, text=unasked))
        model = msgspec.structs.replace(report.model, outputs=analysed.outputs)
        return _Analysis(msgspec.structs.replace(report, model=model), analysed)

    @contextlib.contextmanager
    def _answers_kept(self) -> Iterator[None]:
        """Keeps on disk what TensorRT answers inside, once all is asked."""
        known = len(self._cache.memory.answers)
        yield
        if len(self._cache.memory.answers) != known:
            self._cache.save()

    def _context(
        self, policy: TruncationPolicy, autocast_failure: PassRecord | None = None
    ) -> Context:
        return Context(
            program=self._loaded.program,
            exported=self._exported,
            settings=self._settings,
            target=self._target,
            can_define_networks=self._capability("define networks").possible,
            memory=self._cache.memory,
            ranges=lambda: self._seen(policy),
            probe_seconds=self._probe_seconds,
            progress=self._progress,
            upstream_rules=self._upstream_rules,
            autocast_failure=autocast_failure,
            front=self._front,
        )

    def _lower_with(
        self, policy: TruncationPolicy, settings: Settings
    ) -> Lowered | FailedLowering:
        """Lowers the program with other settings; anew only if lowering depends on them."""
        plain = msgspec.structs.replace(unpartitioned(settings), torch_executed_ops=())
        mine = msgspec.structs.replace(unpartitioned(self._settings), torch_executed_ops=())
        if plain == mine:
            return self._lowering_of(policy, settings)[0]
        return self.variant(settings=settings)._lowering_of(policy)[0]

    def _seen(self, policy: TruncationPolicy) -> Mapping[str, ValueRange]:
        """Returns the ranges of the values on the model's example inputs, seen once.

        Nothing is run where the model holds none: of random inputs nothing follows.
        """
        lowered, given = self._lower(truncate_double=False), self._loaded.example_inputs
        if given is None or isinstance(lowered, FailedLowering):
            return {}
        key = policy.precision.value
        if key not in self._ranges:
            inputs = program_inputs(self._loaded.program, given)
            self._progress("numerics", "ranges of the values")
            self._ranges[key] = see_ranges(lowered.inferred.module, inputs, key)
        return self._ranges[key]

    def _lower(
        self, truncate_double: bool, precision: Precision = Precision.NONE
    ) -> Lowered | FailedLowering:
        """Captures the program, again for `upstream` if a pass decides by its setting.

        Args:
            truncate_double: of torch_tensorrt's settings.
            precision: what torch_tensorrt's own pass makes of float32.
        """
        other = self._lowered.get((not truncate_double, precision))
        if other is not None and not other.captured.asks_truncate_double:
            return other
        key = (truncate_double, precision)
        if key not in self._lowered:
            captured = capture(
                self._loaded.program,
                self._with_autocast(precision),
                truncate_double=truncate_double,
                emit=self._progress,
                front=self._front,
                calibration=self._calibration(precision),
            )
            self._lowered[key] = self._judge_lowered(captured)
        return self._lowered[key]

    def _lowering_of(
        self, policy: TruncationPolicy, settings: Settings | None = None
    ) -> tuple[Lowered | FailedLowering, PassRecord | None]:
        """Returns the lowering of a policy, and the pass that raised for its low precision.

        Where lowering raises with torch_tensorrt's autocast and does not without, it is the
        one without, so that the rest of the report stands.
        """
        settings = self._settings if settings is None else settings
        precision = upstream_precision(policy, settings)
        truncates = truncates_double(policy, settings)
        lowered = self._lower(truncates, precision)
        if precision is Precision.NONE or isinstance(lowered, Lowered):
            return lowered, None
        plain = self._lower(truncates)
        if isinstance(plain, FailedLowering):
            return plain, None
        return plain, next(p for p in lowered.captured.passes if p.error is not None)

    def _upstream_rules(self, policy: TruncationPolicy) -> Mapping[str, LowDecision]:
        """Returns what torch_tensorrt's rules say of the exported nodes, nothing being run."""
        program = copy_program(self._loaded.program)
        settings = self._with_autocast(policy.precision)
        return upstream_rules(program.graph.nodes, settings, {})

    def _with_autocast(self, precision: Precision) -> Settings:
        if precision is Precision.NONE:
            return msgspec.structs.replace(self._settings, enable_autocast=False)
        return msgspec.structs.replace(
            self._settings, enable_autocast=True, autocast_low_precision_type=precision.value
        )

    def _calibration(self, precision: Precision) -> tuple[tuple[Any, ...], ...]:
        """Returns the values of the file that torch_tensorrt's range rule is run on.

        Raises:
            UsageError: the file cannot be read, or does not hold what the program takes.
        """
        path = self._settings.autocast_calibration_file
        if precision is Precision.NONE or path is None:
            return ()
        return (program_inputs(self._loaded.program, None, path).values,)

    def _judge_lowered(self, captured: Captured) -> Lowered | FailedLowering:
        if captured.module is None:
            return FailedLowering(captured)
        self._progress("infer", "with nothing truncated")
        inferred = infer.infer(captured.module)
        self._progress("validate", "on original dtypes")
        options = compilation_settings(self._settings, truncate_double=False)
        original = validate.judge(captured.module, options)
        refreshed = validate.judge(inferred.module, options)
        self._progress("validate", "what would turn the refusals")
        values = reasons.values_of(inferred.module)
        return Lowered(
            captured,
            captured.module,
            inferred,
            original,
            refreshed,
            reasons.explain(captured.module, original, options, TypingKind.ORIGINAL, values),
            reasons.explain(inferred.module, refreshed, options, TypingKind.INFERRED),
        )

    def _failed_lowering(self, policy: TruncationPolicy, captured: Captured) -> _Analysis:
        """Returns what is known when a pass raised: the passes and the last good graph."""
        report = msgspec.structs.replace(
            self._report(policy),
            passes=captured.passes,
            graph_nodes=captured.pool,
            nodes=last_rows(captured.last_graph(), self._exported),
        )
        evidence = Evidence(lowering_error=(captured.failed_pass or "", captured.error or ""))
        return _Analysis(report, Analysed(captured, evidence))

    @property
    def _front(self) -> Front:
        return Front.EXPORT if self._recorded is None else self._recorded.recorded.front

    def _origin(self) -> Recorded | None:
        """Returns where the program was recorded, with the settings that differ here."""
        if self._recorded is None:
            return None
        then, now = self._recorded.settings, self._settings
        changed = (n for n in now.__struct_fields__ if getattr(now, n) != getattr(then, n))
        return msgspec.structs.replace(self._recorded.recorded, overridden=tuple(changed))

    def _report(self, policy: TruncationPolicy) -> Report:
        program = self._loaded.program
        names = [n for n in program.graph_signature.user_inputs if isinstance(n, str)]
        inputs = tuple(
            Binding(
                name=name,
                declared=dtype if isinstance(dtype := self._exported.get(name), str) else None,
                bound=None,
            )
            for name in names
        )
        model = ModelInfo(
            path=self._loaded.path,
            sha256=self._loaded.digest(),
            nodes=len(program.graph.nodes),
            inputs=inputs,
            bytes=self._loaded.bytes,
            moved_from=self._loaded.moved_from,
            trusted=self._trusted,
            program=self._loaded.name if len(self._loaded.programs) > 1 else None,
            recorded=self._origin(),
        )
        return Report(
            model=model, environment=self.environment, policy=policy, settings=self._settings
        )
