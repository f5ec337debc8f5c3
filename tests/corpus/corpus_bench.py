"""Where corpus and samples are, and a bench that analyses and builds each model once."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.models import CORPUS
from trtdbg.policy import Settings, TruncationPolicy
from trtdbg.records import BuildStatus, Report
from trtdbg.worker.messages import Job

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "samples"


def import_file(path: Path) -> ModuleType:
    """Imports a file under its stem, for what it registers and what it defines."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_manifest() -> dict[str, dict[str, Any]]:
    """Returns the corpus's cases."""
    return tomllib.loads((CORPUS / "manifest.toml").read_text())


class Bench:
    """Sessions, analyses and builds, each made once and shared by all tests."""

    def __init__(self) -> None:
        self._sessions: dict[Any, Any] = {}
        self._reports: dict[Any, Report] = {}

    def analyse(
        self, model: Path, policy: TruncationPolicy, settings: Settings | None = None
    ) -> Report:
        """Returns the report of a model under a policy, its engines not necessarily built."""
        built = self._reports.get((model, policy, settings, "build"))
        if built is not None:
            return built
        key = (model, policy, settings, "analyse")
        if key not in self._reports:
            self._reports[key] = self._session(model, settings).analyze(policy)
        return self._reports[key]

    def build(
        self, model: Path, policy: TruncationPolicy, settings: Settings | None = None
    ) -> Report:
        """Returns the report of a model under a policy with every engine really built."""
        key = (model, policy, settings, "build")
        if key not in self._reports:
            self._reports[key] = self._session(model, settings).build(policy)
        return self._reports[key]

    def numerics(self, model: Path, policy: TruncationPolicy) -> Report:
        """Returns the report of a model with both programs run on its example inputs."""
        report: Report = self._session(model, None).numerics(policy)
        return report

    def _session(self, model: Path, settings: Settings | None) -> Any:
        # Only here: importing this module must not load torch while tests are collected.
        from trtdbg.session.session import Session

        key = (model, settings)
        if key not in self._sessions:
            job = Job(model=str(model), settings=settings or Settings())
            self._sessions[key] = Session(job, lambda event: None)
        return self._sessions[key]


def not_built(report: Report) -> list[str]:
    """Returns a line for each engine that is not built."""
    return [
        f"{engine.name}: {engine.build.status}, {engine.build.node}: {engine.build.error}"
        for engine in report.engines
        if engine.build.status is not BuildStatus.BUILT
    ]
