"""Python source in the tones of the screen."""

from __future__ import annotations

from functools import lru_cache

from pygments import lex
from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token

from trtdbg.dtypes import is_wide
from trtdbg_ui.render.dtypes import dtype_tone
from trtdbg_ui.text import Line, Span, Tone

_TONES = (
    (Comment, Tone.DIM),
    (String, Tone.GOOD),
    (Number, Tone.INT),
    (Keyword, Tone.KEY),
    (Operator.Word, Tone.KEY),
    (Name.Function, Tone.HEAD),
    (Name.Builtin, Tone.BOOL),
    (Name.Decorator, Tone.WARN),
)


@lru_cache(maxsize=128)
def highlighted(text: str) -> tuple[Line, ...]:
    """Returns Python source by lines; the dtypes in it look as they do everywhere."""
    lines: list[list[Span]] = [[]]
    for kind, value in lex(text, PythonLexer(stripnl=False, ensurenl=False)):
        tone = next((tone for token, tone in _TONES if kind in token), Tone.PLAIN)
        if kind in Token.Name and (is_wide(value) or value in _NARROW):
            tone = dtype_tone(value)
        first, *others = value.split("\n")
        lines[-1].append((first, tone))
        lines.extend([(other, tone)] for other in others)
    return tuple(tuple(span for span in spans if span[0]) for spans in lines)


_NARROW = ("float32", "float16", "bfloat16", "int32", "int8", "uint8", "bool", "complex64")
