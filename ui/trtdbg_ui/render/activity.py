"""What the worker does, in the header and on the loading screen."""

from __future__ import annotations

from trtdbg_ui.keys.keymap import key
from trtdbg_ui.model.activity import Activity, StageTime
from trtdbg_ui.model.failure import Failure
from trtdbg_ui.text import BLANK, Line, Span, Tone, crop, line, wrap

_STAGE_WORDS = {
    "prepare": "importing torch, torch_tensorrt",
    "load": "loading the program",
    "capture": "lowering, pass by pass",
    "infer": "inferring dtypes",
    "validate": "asking the validators",
    "partition": "partitioning",
    "boundary": "finding boundary casts",
    "network": "defining networks",
    "build": "building engines",
    "numerics": "running both programs",
    "findings": "looking for findings",
}


def elapsed(seconds: float) -> str:
    """Returns a running time, like `4.2 s` or `2 min 05 s`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def activity_line(activity: Activity, now: float) -> Line:
    """Returns what runs and since when, with the key that cancels it."""
    verb = activity.verb if activity.verb == "analysing" else f"{activity.verb} under"
    spans: list[Span] = [(f"… {verb} {activity.policy.timing.value}", Tone.WARN)]
    stage = activity.current
    if stage is not None:
        spans.append((f": {stage_text(stage)}", Tone.WARN))
    spans.append((f" {elapsed(now - activity.started)} ", Tone.STRONG))
    spans += [(key("cancel"), Tone.KEY), (" cancels", Tone.DIM)]
    return tuple(spans)


def stage_text(stage: StageTime) -> str:
    """Returns a stage and how far it is, like `build 3/13`."""
    if stage.done is not None and stage.total is not None:
        return f"{stage.name} {stage.done}/{stage.total}"
    return stage.name


def loading_lines(
    model: str, activity: Activity | None, failure: Failure | None, now: float, size: int
) -> list[Line]:
    """Returns the screen that stands where the panes will be, until there is a report."""
    lines: list[Line] = [BLANK]
    if failure is not None:
        return [*lines, *failure_lines(failure, size)]
    if activity is None:
        lines += wrap(
            line("  Nothing was analysed yet. ", (key("analyse-again"), Tone.KEY)), size
        )
        return lines
    lines.append(line(("  Opening ", Tone.PLAIN), (model, Tone.STRONG)))
    lines.append(BLANK)
    first = activity.stages[0].started if activity.stages else None
    lines.append(_stage_line("starting the worker", activity.started, first, "", now))
    for stage in activity.stages:
        detail = stage.detail
        if stage.done is not None:
            of = f" of {stage.total}" if stage.total is not None else ""
            detail = f"{detail} ({stage.done}{of})".strip()
        words = _STAGE_WORDS.get(stage.name, stage.name)
        detail = "" if stage.name == "prepare" else detail
        lines.append(_stage_line(words, stage.started, stage.ended, detail, now))
    lines += [
        BLANK,
        line(
            "  ", (key("cancel"), Tone.KEY), " cancels   ", (key("log"), Tone.KEY), " log   "
        ),
    ]
    return [crop(each, size) for each in lines]


def _stage_line(
    words: str, started: float, ended: float | None, detail: str, now: float
) -> Line:
    running = ended is None
    time = elapsed((now if ended is None else ended) - started)
    return line(
        ("  … " if running else "  ✓ ", Tone.WARN if running else Tone.GOOD),
        (f"{words:<32}", Tone.PLAIN if running else Tone.DIM),
        (f"{time:>9}", Tone.STRONG if running else Tone.DIM),
        (f"  {detail}" if detail else "", Tone.DIM),
    )


def failure_note(failure: Failure, size: int) -> list[Line]:
    """Returns an error above a report that is still good."""
    keys = line((key("cancel"), Tone.KEY), (" back to the answer", Tone.DIM))
    remedy = f"   {failure.remedy}  " if failure.remedy else "   "
    return [
        *wrap(line((f" ✖ {failure.message}", Tone.BAD)), size, indent=3),
        *wrap(line(remedy, *keys), size, indent=3),
    ]


def failure_lines(failure: Failure, size: int) -> list[Line]:
    """Returns an error as message and remedy."""
    lines = wrap(line((f"  ✖ {failure.message}", Tone.BAD)), size, indent=4)
    if failure.remedy:
        lines += [BLANK, *wrap(line(f"    {failure.remedy}"), size, indent=4)]
    keys = line(
        "    ",
        (key("analyse-again"), Tone.KEY),
        " tries again   ",
        (key("timing"), Tone.KEY),
        " with another timing   ",
        (key("log"), Tone.KEY),
        " log   ",
        (key("quit"), Tone.KEY),
        " quits",
    )
    return [*lines, BLANK, keys]
