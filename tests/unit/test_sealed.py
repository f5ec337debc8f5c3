"""Files of the caches: whatever is not exactly what was written is not used, and is said."""

import logging
import os
import random

import pytest

from trtdbg import sealed

PAYLOAD = bytes(range(256)) * 3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "file"


@pytest.fixture
def said(caplog):
    # A worker in the same process, in another test, may have turned the logger elsewhere.
    logger = logging.getLogger("trtdbg.sealed")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_what_was_written_is_read(path, said):
    sealed.write(path, PAYLOAD)
    assert sealed.read(path) == PAYLOAD
    assert not said.messages


def test_no_file_is_no_payload_and_no_line(path, said):
    assert sealed.read(path) is None
    assert not said.messages


def test_every_flipped_bit_is_seen(path):
    sealed.write(path, PAYLOAD)
    whole = path.read_bytes()
    for bit in random.Random(0).sample(range(len(whole) * 8), 400):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert sealed.read(path) is None, bit


@pytest.mark.parametrize("cut", [0, 1, 14, 15, 40, 46, 47, 100, -1])
def test_every_cut_is_seen_said_and_the_file_is_removed(path, said, cut):
    sealed.write(path, PAYLOAD)
    path.write_bytes(path.read_bytes()[:cut])
    assert sealed.read(path) is None
    assert not path.exists()
    assert any("is made anew" in message for message in said.messages)


def test_a_file_of_another_user_is_neither_read_nor_removed(path, said, monkeypatch):
    sealed.write(path, PAYLOAD)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert sealed.read(path) is None
    assert path.exists()
    assert any("is no plain file of this user" in message for message in said.messages)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(path):
    path.parent.mkdir()
    os.mkfifo(path)
    assert sealed.read(path) is None


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_what_cannot_be_opened_is_no_reason_to_stop(path, kind):
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    assert sealed.read(path) is None
