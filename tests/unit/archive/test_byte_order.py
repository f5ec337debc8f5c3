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


def test_a_damaged_entry_of_the_byte_order_is_one_line(tmp_path: Path) -> None:
    """Its own header names it in bytes that are no UTF-8, while the directory is whole."""
    sample = Path(__file__).parents[3] / "samples" / "split_heads.pt2"
    data = sample.read_bytes()
    with zipfile.ZipFile(sample) as archive:
        start = archive.getinfo("split_heads/byteorder").header_offset
    header = bytearray(data[start : start + 30 + len("split_heads/byteorder")])
    header[7] |= 0x08  # The name is UTF-8.
    header[30:] = b"\xa5" * (len(header) - 30)
    path = tmp_path / "damaged.pt2"
    path.write_bytes(data[:start] + bytes(header) + data[start + len(header) :])
    with pytest.raises(ModelError, match="is a truncated or damaged archive"):
        inspect(path)
