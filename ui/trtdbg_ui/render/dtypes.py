"""Dtypes as toned text: each family has its tone, and the wide dtypes have a stronger one."""

from __future__ import annotations

from functools import lru_cache

from trtdbg.analysis.node_columns import used_dtypes
from trtdbg.dtypes import family, from_tensorrt, is_wide
from trtdbg.records import Dtype, dtype_text
from trtdbg_ui.text import Span, Tone

_NARROW = {
    "float": Tone.FLOAT,
    "int": Tone.INT,
    "uint": Tone.INT,
    "bool": Tone.BOOL,
    "complex": Tone.COMPLEX,
}
_WIDE = {
    "float": Tone.WIDE_FLOAT,
    "int": Tone.WIDE_INT,
    "complex": Tone.WIDE_COMPLEX,
}


@lru_cache(maxsize=4096)
def dtype_tone(dtype: Dtype) -> Tone:
    """Returns the tone of a dtype; of several the first wide one decides, if any."""
    names = [name for name in (dtype if isinstance(dtype, tuple) else (dtype,)) if name]
    if not names:
        return Tone.DIM
    name = next((name for name in names if is_wide(name)), names[0])
    tones = _WIDE if is_wide(name) else _NARROW
    return tones.get(family(name), Tone.PLAIN)


def dtype_span(dtype: Dtype) -> Span:
    """Returns a dtype, spelled as torch spells it."""
    return dtype_text(dtype), dtype_tone(dtype)


@lru_cache(maxsize=1024)
def tensorrt_span(dtype: Dtype) -> Span:
    """Returns a TensorRT dtype, spelled as TensorRT spells it."""
    used = used_dtypes(dtype)
    text = dtype_text(used)
    if not used:
        return text, Tone.DIM
    # Of TensorRT's dtypes torch lacks only INT4.
    return text, dtype_tone(from_tensorrt(text.split(",")[0]) or "int4")
