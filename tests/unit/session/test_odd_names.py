"""Models whose names hold what terminals, JSON or torch do not like."""

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from trtdbg.errors import ModelError
from trtdbg.policy import Settings
from trtdbg.session.session import Session
from trtdbg.worker.messages import Job, native_path, portable_path

SAMPLE = Path(__file__).parents[3] / "samples" / "boundary_mixed.pt2"


def opened(path):
    return Session(Job(model=portable_path(path), settings=Settings()), lambda event: None)


@pytest.mark.parametrize("name", [b"a b\nc.pt2", "é \U0001f600.pt2".encode(), b"\xff\xfe.pt2"])
def test_a_model_of_any_name_opens_and_its_name_can_be_reported(name, tmp_path):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name))
    shutil.copy(SAMPLE, path)
    loaded = opened(path)._loaded
    assert loaded.bytes == SAMPLE.stat().st_size
    assert os.path.dirname(loaded.path) == str(tmp_path)
    msgspec.json.encode(loaded.path)


def test_what_is_wrong_with_a_model_of_such_a_name_can_be_reported(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pt2")
    with pytest.raises(ModelError, match="No such file"):
        opened(path)
    Path(path).write_text("no archive")
    with pytest.raises(ModelError, match="is a text file") as caught:
        opened(path)
    assert "/proc/" not in str(caught.value)
    msgspec.json.encode(str(caught.value))


@pytest.mark.parametrize("path", ["/a/b.pt2", "é\n", os.fsdecode(b"\xff\x80a\xc3")])
def test_a_path_arrives_as_it_was_sent(path):
    sent = portable_path(path)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sent)) == sent
    assert native_path(sent) == path
