"""What the door refuses, before anything travels: no broker is asked, nothing is stored."""

from __future__ import annotations

import time

import pytest

from millrace.doors import Door, RefusedAtDoor, Sender
from schemas.names import MAX_PROMPT_BYTES
from sinks.objects import FolderStore
from streams.settings import StreamSettings


@pytest.fixture
def door(tmp_path):
    return Door(StreamSettings(bootstrap_servers="127.0.0.1:1", registry_url="http://127.0.0.1:1"), FolderStore(tmp_path / "objects"))


def refusal(call, *arguments) -> str:
    with pytest.raises(RefusedAtDoor) as error:
        call(*arguments)
    assert str(error.value)
    return error.value.reason


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 200, "", "-x", "a b", "a\n", "é"])
def test_names(door, name, tmp_path):
    assert refusal(door.prompt, "an app with books (title)", Sender(tenant=name)) == "bad_name"
    assert refusal(door.prompt, "an app with books (title)", Sender(project=name)) == "bad_name"
    assert refusal(door.video, tmp_path / "x", Sender(tenant=name)) == "bad_name"


def test_prompts(door):
    assert refusal(door.prompt, " \n\t", Sender()) == "empty_prompt"
    assert refusal(door.prompt, "x" * (MAX_PROMPT_BYTES + 1), Sender()) == "prompt_too_large"
    assert refusal(door.prompt, "é" * (MAX_PROMPT_BYTES // 2 + 1), Sender()) == "prompt_too_large"
    assert refusal(door.prompt, "half a character: \udcff", Sender()) == "bad_text"
    assert refusal(door.prompt, "x", Sender(priority="urgent")) == "bad_name"
    assert refusal(door.prompt, "x", Sender(deadline=int(time.time() * 1000) - 1)) == "deadline"
    assert refusal(door.prompt, "x", Sender(), "") == "bad_idempotency_key"
    assert refusal(door.prompt, "x", Sender(), "k" * 257) == "bad_idempotency_key"


def test_files(door, tmp_path, monkeypatch):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert refusal(door.video, empty, Sender()) == "empty_file"
    assert refusal(door.video, tmp_path / "missing.mp4", Sender()) == "not_found"
    assert refusal(door.video, tmp_path, Sender()) == "not_found"
    monkeypatch.setattr("millrace.doors.MAX_MEDIA_BYTES", 3)
    large = tmp_path / "large.mp4"
    large.write_bytes(b"1234")
    assert refusal(door.video, large, Sender()) == "too_large"
    assert not list(door._objects.keys(""))
