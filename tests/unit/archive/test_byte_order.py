"""The byte order that an archive names."""

import zipfile
from pathlib import Path

import pytest

from trtdbg.archive.container import inspect
from trtdbg.errors import ModelError


@pytest.mark.parametrize("order", [b"big", b"", b"middle"])
def test_another_byte_order_is_refused(order: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pt2"
    sample = Path(__file__).parents[3] / "samples" / "split_heads.pt2"
    with zipfile.ZipFile(sample) as source, zipfile.ZipFile(path, "w") as copy:
        for entry in source.infolist():
            own = entry.filename == "split_heads/byteorder"
            copy.writestr(entry.filename, order if own else source.read(entry))
    with pytest.raises(ModelError, match="was written in the byte order"):
        inspect(path)
