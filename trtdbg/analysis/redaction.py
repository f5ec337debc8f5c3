"""A report that may leave the house: no source text, no paths, no values of constants.

The record is redacted as a whole, and every output is made of the redacted record. Source
files become `file1.py`, in the order in which they appear; line numbers stay. What stays:
operators, dtypes, shapes, versions, verdicts, the names of nodes, and the names of modules
unless these are to be numbered too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from trtdbg.records import FailedReport, Report

_OWN_PACKAGES: Final = ("torch_tensorrt/", "torch/", "tensorrt/", "tensorrt_rtx/")
"""Files of these are named by their package, and are nobody's secret."""

_PATH: Final = re.compile(
    r"(?<![\w.>])(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/|\\\\)[^\s'\"`,;:()<>|]*[\w\-]"
    r"|\b(?:[\w.\-]+[\\/])+[\w.\-]+\.(?:py|pyi|pt2|pt|npz|json|toml|so|onnx|bin|log|txt)\b"
)
_FLOAT: Final = re.compile(
    r"(?<![\w.])-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)", re.IGNORECASE
)
_NUMBER: Final = re.compile(
    r"(?<![\w.\[])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.\]])", re.IGNORECASE
)
_STRING: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_QUOTED: Final = re.compile(r"`[^`]*`")

_VALUES: Final = "TD4"
"""Findings of these codes quote values."""


def redacted(report: Report, *, modules: bool = False, recipes: bool = False) -> Report:
    """Returns a report without source text, paths and values of constants.

    Args:
        report: any report.
        modules: whether names of modules and of what they hold are numbers too.
        recipes: whether recipes are kept, whose scripts need the numbers in their calls.
    """
    plain = _without_the_rest(report)
    if recipes:
        plain = msgspec.structs.replace(plain, recipes=report.recipes)
    raw = msgspec.json.decode(msgspec.json.encode(plain))
    words = _Words(raw, modules=modules)
    return msgspec.convert(words.clean(raw), Report)


def redacted_failure(entry: FailedReport) -> FailedReport:
    """Returns why a model could not be analysed, without its path."""
    path = entry.model.path
    short = "model" + _ending(path)
    error = _PATH.sub("<path>", entry.error.replace(path, short) if path else entry.error)
    model = msgspec.structs.replace(entry.model, path=short)
    return msgspec.structs.replace(entry, model=model, error=error)


def _without_the_rest(report: Report) -> Report:
    """Returns a report without the fields that are text of a user or of a machine."""
    environment = msgspec.structs.replace(report.environment, import_log=())
    return msgspec.structs.replace(report, environment=environment, recipes=None)


class _Words:
    """What is replaced in every text of one report."""

    def __init__(self, raw: dict[str, Any], *, modules: bool) -> None:
        found = list(_dicts(raw))
        sources = [each for each in found if _is_place(each)]
        files = dict.fromkeys(each["file"] for each in sources if each.get("file"))
        self._files = {name: f"file{at}.py" for at, name in enumerate(files, 1)}
        codes = {each["code"] for each in sources if each.get("code")}
        codes |= {each["line"] for each in found if isinstance(each.get("line"), str)}
        self._exact = {code: "<source>" for code in codes if len(code) > 2}
        self._exact |= {code.strip(): "<source>" for code in codes if len(code.strip()) > 2}
        self._exact |= self._files
        self._exact |= {
            name.replace("\\", "/").rpartition("/")[2]: short
            for name, short in self._files.items()
        }
        path = raw["model"]["path"]
        self._model = "model" + _ending(path)
        base = path.replace("\\", "/").rpartition("/")[2]
        self._exact |= {path: self._model, base: self._model}
        self._exact.pop("", None)
        longest = sorted(self._exact, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest)))
        self._names = _module_names(raw, found) if modules else {}
        names = sorted(self._names, key=len, reverse=True)
        self._named = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, names))})(?!\w)")

    def clean(self, value: Any, key: str = "", inside: str = "") -> Any:
        """Returns a value of the record with every text in it cleaned.

        Args:
            value: a value as msgspec makes it.
            key: the key that it stands under.
            inside: the key of what it is in.
        """
        if isinstance(value, str):
            return self._text(value, key)
        if isinstance(value, list):
            return [self.clean(each, key, inside) for each in value]
        if not isinstance(value, dict):
            return value
        fields = {name: self.clean(each, name, key) for name, each in value.items()}
        if _is_place(value):
            fields["code"] = None
        if key == "validators" and not (value["file"] or "").startswith(_OWN_PACKAGES):
            fields["text"] = ""
        if key == "cures":
            fields |= {"line": None}
            if value["kind"] == "edit":
                fields |= {"type": None, "say": _QUOTED.sub("`…`", fields["say"])}
        if key == "findings" and value["code"].startswith(_VALUES):
            fields["message"] = _NUMBER.sub("#", fields["message"])
        if key == "changes":
            fields |= {n: _literals(fields[n]) for n in ("before", "after")}
        if key == "numerics" and value["inputs"] not in ("example inputs",):
            seeded = value["inputs"].startswith("random inputs")
            fields["inputs"] = value["inputs"] if seeded else "a file"
        return fields

    def _text(self, text: str, key: str) -> str:
        if key == "file":
            return self._files.get(text, text if text.startswith(_OWN_PACKAGES) else "file.py")
        if key in ("sha256", "schema"):
            return text
        if key == "args":
            text = _FLOAT.sub("#", _STRING.sub("'…'", text))
        if self._exact:
            text = self._known.sub(lambda found: self._exact[found[0]], text)
        text = _PATH.sub("<path>", text)
        if self._names and key != "target":
            text = self._named.sub(lambda found: self._names[found[0]], text)
        elif self._names:
            text = self._names.get(text, text)
        return text


def _literals(text: str | None) -> str | None:
    return None if text is None else _FLOAT.sub("#", _STRING.sub("'…'", text))


def _is_place(fields: dict[str, Any]) -> bool:
    """Returns whether a record is a place in the user's source."""
    return "file" in fields and "line" in fields and "code" in fields


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _dicts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _dicts(each)


def _ending(path: str) -> str:
    name, dot, ending = path.rpartition(".")
    return f".{ending}" if dot and name and ending.isalnum() else ""


def _module_names(raw: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, str]:
    """Returns a number for each path of a module, and for what modules hold."""
    paths = [each["module"] for each in found if _is_place(each) and each.get("module")]
    for each in found:
        if each.get("op") in ("get_attr",) and isinstance(each.get("target"), str):
            paths.append(each["target"])
        if "depth" in each and "stands_for" in each:
            paths += [each["path"], *each["stands_for"]]
        paths += [path for path in each.get("modules") or () if isinstance(path, str)]
    paths += [each["name"] for each in raw["constants"]]
    steps: dict[str, str] = {}

    def number(step: str) -> str:
        return step if step.isdecimal() else steps.setdefault(step, f"m{len(steps) + 1}")

    names: dict[str, str] = {}
    for path in dict.fromkeys(filter(None, paths)):
        made = ".".join(map(number, path.split(".")))
        for prefix in ("", "p_", "b_", "c_"):
            flat = path.replace(".", "_")
            names[f"{prefix}{flat}"] = f"{prefix}{made.replace('.', '_')}"
        names[path] = made
    return names
