"""The codes of findings and what is written down about each."""

from __future__ import annotations

from enum import StrEnum

from trtdbg.records import Level, Record


class Code(StrEnum):
    """Every finding's code; its entry and its rule stand in the module of its hundred."""

    TD101 = "TD101"
    TD102 = "TD102"
    TD103 = "TD103"
    TD104 = "TD104"
    TD105 = "TD105"
    TD106 = "TD106"
    TD107 = "TD107"
    TD108 = "TD108"
    TD109 = "TD109"
    TD110 = "TD110"
    TD201 = "TD201"
    TD202 = "TD202"
    TD203 = "TD203"
    TD204 = "TD204"
    TD301 = "TD301"
    TD302 = "TD302"
    TD303 = "TD303"
    TD304 = "TD304"
    TD401 = "TD401"
    TD402 = "TD402"
    TD403 = "TD403"
    TD404 = "TD404"
    TD405 = "TD405"
    TD406 = "TD406"
    TD501 = "TD501"
    TD502 = "TD502"
    TD503 = "TD503"
    TD601 = "TD601"
    TD602 = "TD602"
    TD603 = "TD603"
    TD604 = "TD604"
    TD605 = "TD605"
    TD701 = "TD701"
    TD702 = "TD702"
    TD703 = "TD703"
    TD704 = "TD704"


OF_A_NODE = (Code.TD101, Code.TD102, Code.TD103, Code.TD104, Code.TD105)
"""Findings of one node's verdicts: a script with that node reproduces them."""

OF_A_PASS = Code.TD501
"""The finding of a lowering pass: it is reproduced by cutting the program down."""

OF_AN_ENGINE = Code.TD503
"""The finding of a whole engine: it is reproduced by cutting the engine down."""


class Explanation(Record, frozen=True, kw_only=True):
    """What a finding's code means, in words for a reader who meets it for the first time."""

    code: Code
    name: str
    level: Level
    """The usual level; milder where the policy in force already resolves it."""
    what: str
    """One sentence: what was seen."""
    cause: str
    """How it comes about."""
    cure: str
    """What to do about it."""
