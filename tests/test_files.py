"""Files written whole or not at all."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from scgcnet.files import WriteError, atomic, lock, remove_folder, write_text


def test_a_file_appears_whole_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename to another disk would be a copy
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old\r\n")
    with pytest.raises(ZeroDivisionError), atomic(path) as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    """Such as to a table on a shared disk."""
    (tmp_path / "shared").mkdir()
    target, link = tmp_path / "shared" / "a.txt", tmp_path / "a.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_limit_of_the_system_is_one_error(tmp_path: Path) -> None:
    """A real refusal by the system, not a simulated one: files of this process may not grow over 1000 bytes."""
    path = tmp_path / "a.txt"
    write_text(path, "old")
    program = (
        "import resource, sys; from pathlib import Path; from scgcnet.files import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_text(Path(sys.argv[1]), 'x' * 5000)\n"
        "except WriteError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert f"{path}: cannot be written: File too large. Nothing that was finished is lost" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_folder_can_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"b\.txt: cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "a" / "b.txt", "x")
    with pytest.raises(WriteError, match=r"x\.lock: cannot be written"), lock(tmp_path / "file" / "x.lock"):
        pass


def test_a_killed_writer_leaves_the_older_file(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from scgcnet.files import atomic\n"
        "with atomic(Path(sys.argv[1])) as temporary: temporary.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "a.json"
    write_text(path, "old")
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9
    assert path.read_text() == "old"


def test_a_lock_keeps_others_out_until_its_holder_ends(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from scgcnet.files import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)\n"
    )
    path = tmp_path / "locks" / "x.lock"
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        waiter = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.communicate(timeout=1)
        holder.kill()  # SIGKILL: nothing of it can tidy up
    assert waiter.stdout is not None and waiter.stdout.readline() == b"held\n"
    waiter.kill()
    waiter.communicate()


def test_a_folder_goes_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    (folder / "b").mkdir(parents=True)
    remove_folder(folder)
    remove_folder(folder)
    assert list(tmp_path.iterdir()) == []
