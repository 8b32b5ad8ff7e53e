"""A project as a value: packing is deterministic, unpacking refuses what is not a project."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.toolchain import project
from processors.toolchain.project import ProjectError, ProjectLimits

FILES = {"src/main.tsx": b"a", "index.html": b"b", "supabase/migrations/0001_init.sql": b"c"}


def zipped(*entries: tuple[str, bytes], mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return out.getvalue()


def test_packing_does_not_depend_on_order() -> None:
    assert project.pack(FILES) == project.pack(dict(reversed(FILES.items())))
    assert project.unpack(project.pack(FILES)) == FILES


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.tsx?", fullmatch=True), st.binary(max_size=200), max_size=8))
def test_what_was_packed_comes_back(files: dict[str, bytes]) -> None:
    assert project.unpack(project.pack(files)) == files


def test_digest_is_framed() -> None:
    assert project.digest({"a": b"bc"}) != project.digest({"ab": b"c"})
    assert project.digest({"a": b"b", "c": b""}) != project.digest({"a": b"", "c": b"b"})


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        "",
        "a\\b",
        "C:/x",
        "a\0b",
        "a\nb",
        "x" * 201,
        ".git/config",
        "a/.GIT/hooks/x",
        "node_modules/x/y",
        "a./b",
        "\u202egnp.exe",
        "~/x*",
    ],
)
def test_odd_names_are_refused(name: str) -> None:
    with pytest.raises(ProjectError):
        project.check_name(name)
    with pytest.raises(ProjectError):
        project.check({name: b""})


@pytest.mark.parametrize("name", ["../evil.txt", "/abs", "a/../../b", "dist/../../x"])
def test_an_archive_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(ProjectError, match="path"):
        project.unpack(zipped((name, b"x")))


def test_links_in_an_archive_are_refused() -> None:
    with pytest.raises(ProjectError, match="plain file"):
        project.unpack(zipped(("link", b"/etc/passwd"), mode=0o120777))


def test_a_name_cut_at_a_nul_is_refused() -> None:
    data = zipped(("good.txtXevil", b"x")).replace(b"good.txtXevil", b"good.txt\0evil")
    with pytest.raises(ProjectError):
        project.unpack(data)


def test_duplicates_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("a", b"1"), ("a", b"2"))
    with pytest.raises(ProjectError, match="twice"):
        project.unpack(data)
    with pytest.raises(ProjectError, match="case"):
        project.unpack(zipped(("a.ts", b"1"), ("A.ts", b"2")))
    with pytest.raises(ProjectError, match="both a file and a folder"):
        project.check({"a": b"", "a/b": b""})


def test_a_bomb_is_stopped_while_reading() -> None:
    limits = ProjectLimits(file_bytes=1000, total_bytes=2000, files=10)
    with pytest.raises(ProjectError, match="size"):
        project.unpack(zipped(("big", bytes(100_000))), limits)
    with pytest.raises(ProjectError, match="size"):
        project.unpack(zipped(*((f"f{i}", bytes(900)) for i in range(5))), limits)
    with pytest.raises(ProjectError, match="files"):
        project.unpack(zipped(*((f"f{i}", b"") for i in range(11))), limits)


def test_a_size_that_lies_is_not_believed() -> None:
    data = bytearray(zipped(("big", bytes(100_000))))
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 10)
    with pytest.raises(ProjectError):
        project.unpack(bytes(data), ProjectLimits(file_bytes=1000, total_bytes=1000))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", project.pack(FILES)[:-30], project.pack(FILES)[20:]])
def test_what_is_no_archive_is_said_so(data: bytes) -> None:
    with pytest.raises(ProjectError):
        project.unpack(data)


def test_a_folder_comes_back_and_links_are_refused(tmp_path: Path) -> None:
    project.write(FILES, tmp_path / "app")
    (tmp_path / "app" / "node_modules").mkdir()
    (tmp_path / "app" / "node_modules" / "x.js").write_text("x")
    assert project.read(tmp_path / "app") == FILES
    (tmp_path / "app" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ProjectError, match="link"):
        project.read(tmp_path / "app")
