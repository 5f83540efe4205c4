import os
import stat
import threading
from pathlib import Path

import pytest

from vmlab.report.output import OutputFile


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_text_is_there_at_the_end(tmp_path):
    path = tmp_path / "result.json"
    with OutputFile(path) as file:
        file.write("one ")
        file.write("– two\n")
        assert not path.exists()
    assert path.read_text("utf-8") == "one – two\n"
    assert names(tmp_path) == ["result.json"]


def test_bytes_are_written_as_they_are(tmp_path):
    with OutputFile(tmp_path / "picture") as file:
        file.write(b"\x89PNG\r\n\xff")
    assert (tmp_path / "picture").read_bytes() == b"\x89PNG\r\n\xff"


def test_a_block_that_writes_nothing_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with OutputFile(path):
        pass
    assert path.read_text() == "old"
    with OutputFile(path) as file:
        file.write("")
    assert path.read_text() == ""
    assert names(tmp_path) == ["result.json"]


def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), OutputFile(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.json"]


def test_a_text_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError), OutputFile(tmp_path / "new") as file:
        file.write("\udc80")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/result.json", "."])
def test_a_bad_path_fails_before_the_work_and_is_named(tmp_path, name):
    with pytest.raises(OSError) as info, OutputFile(tmp_path / name):
        raise AssertionError("the work began")
    assert info.value.filename == str((tmp_path / name).resolve())
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_protected_file_fails_before_the_work(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(PermissionError), OutputFile(path):
        raise AssertionError("the work began")


def test_modes_stay_and_new_files_follow_the_umask(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("")
    old.chmod(0o640)
    mask = os.umask(0o027)
    try:
        for path in (old, new):
            with OutputFile(path) as file:
                file.write("x")
    finally:
        os.umask(mask)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (old, new)] == [0o640, 0o640]


def test_a_symbolic_link_stays_one(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with OutputFile(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_directly(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    with OutputFile(pipe) as file:
        file.write("x")
    reader.join(10)
    assert read == ["x"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_is_written_and_not_replaced():
    with OutputFile("/dev/null") as file:
        file.write("x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
