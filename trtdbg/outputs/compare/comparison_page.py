"""A comparison as one self-contained HTML page with charts, read in light or dark."""

from __future__ import annotations

from trtdbg.analysis.comparison import PolicyComparison
from trtdbg.outputs.compare import comparison_words as words
from trtdbg.outputs.compare.comparison_charts import ROW_HEIGHT, BarPart, charts
from trtdbg.outputs.html import render

_PART_WORDS = {BarPart.ENGINES: "engines", BarPart.TORCH_OPS: "operators"}


def page(comparison: PolicyComparison) -> str:
    """Returns the page; it asks for nothing."""
    groups = words.groups(comparison)
    models = [
        {
            "headline": words.headline(group),
            "made": any(row.error is None for row in group.rows),
            "columns": [column.value for column in group.columns],
            "rows": [
                {
                    "cells": [words.cell(row, column) for column in group.columns],
                    "best": row.name in words.best_rows(group),
                    "failed": bool(row.exit_code),
                }
                for row in group.rows
            ],
            "remarks": words.remarks(group),
            "charts": charts(group),
        }
        for group in groups
    ]
    return render(
        "comparison.html",
        title=f"Policies on {words.model_names(groups)}",
        models=models,
        facts=words.conditions(comparison),
        legend=_PART_WORDS,
        row_height=ROW_HEIGHT,
    )
