"""LocalObjects: create-only, atomic, listed in order, and every refusal is a sentence."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from penstock.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    TransientError,
)
from penstock.stores.objects import TEMPORARY, LocalObjects, file_error


@pytest.fixture
def objects(tmp_path):
    return LocalObjects(tmp_path / "root")


def test_created_object_is_read_back_and_never_overwritten(objects):
    objects.create("a/b.json", b"one")
    with pytest.raises(AlreadyExistsError):
        objects.create("a/b.json", b"two")
    assert objects.get("a/b.json") == b"one"
    assert objects.exists("a/b.json")
    assert not objects.exists("a")


def test_one_of_many_creators_wins(objects):
    won, barrier = [], threading.Barrier(8)

    def attempt(who):
        barrier.wait()
        try:
            objects.create("one", str(who).encode())
            won.append(who)
        except AlreadyExistsError:
            pass

    threads = [threading.Thread(target=attempt, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.get("one") == str(won[0]).encode()
    assert [info.path for info in objects.list()] == ["one"]


def test_replace_writes_over_and_leaves_no_temporary(objects, tmp_path):
    objects.replace("current", b"1")
    objects.replace("current", b"22")
    assert objects.get("current") == b"22"
    assert os.listdir(tmp_path / "root") == ["current"]


def test_list_is_in_order_of_whole_paths_and_hides_temporaries(objects, tmp_path):
    for path in ("a/x", "a-b", "a/y/z", "b", "a0"):
        objects.create(path, path.encode())
    (tmp_path / "root" / "a" / (TEMPORARY + "1")).write_bytes(b"torn")
    found = [info.path for info in objects.list()]
    assert found == sorted(found) == ["a-b", "a/x", "a/y/z", "a0", "b"]
    assert [info.path for info in objects.list("a/")] == ["a/x", "a/y/z"]
    assert [info.path for info in objects.list("a/y")] == ["a/y/z"]
    assert [(info.path, info.bytes) for info in objects.list("a")] == [("a-b", 3), ("a/x", 3), ("a/y/z", 5), ("a0", 2)]
    assert list(objects.list("nothing/here")) == []


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a\0b"])
def test_paths_that_leave_the_root_are_refused(objects, path):
    for act in (objects.get, objects.exists, objects.remove, objects.uri, lambda p: objects.create(p, b"")):
        with pytest.raises(ConfigurationError, match="leaves the folder"):
            act(path)


def test_missing_objects(objects):
    with pytest.raises(NotFoundError, match="gone"):
        objects.get("gone")
    objects.remove("gone")
    objects.create("there", b"")
    objects.remove("there")
    assert not objects.exists("there")


def test_uri_makes_the_folder(objects, tmp_path):
    place = objects.uri("t/created_at=x/f.parquet")
    assert place == str(tmp_path / "root" / "t" / "created_at=x" / "f.parquet")
    assert (tmp_path / "root" / "t" / "created_at=x").is_dir()


def test_adopt_links_and_is_quiet_about_the_same_size(objects, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"12345")
    objects.adopt(str(source), "p/q")
    assert os.stat(source).st_ino == os.stat(objects.uri("p/q")).st_ino
    objects.adopt(str(source), "p/q")
    objects.create("other", b"torn")
    objects.adopt(str(source), "other")
    assert objects.get("other") == b"12345"
    with pytest.raises(NotFoundError, match="absent"):
        objects.adopt(str(tmp_path / "absent"), "x")


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_adopt_copies_across_file_systems(objects, tmp_path):
    source = f"/dev/shm/penstock-test-{os.getpid()}"
    try:
        with open(source, "wb") as file:
            file.write(b"x" * 3_000_000)
        if os.stat(source).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("one file system only")
        objects.adopt(source, "copied")
        assert objects.get("copied") == b"x" * 3_000_000
        assert os.listdir(tmp_path / "root") == ["copied"]
    finally:
        os.unlink(source)


def test_refusals_of_the_system_are_sentences_that_name_the_path(objects, tmp_path):
    assert isinstance(file_error(OSError(errno.ENOSPC, "x"), "/p", "written"), TransientError)
    assert "disk is full" in str(file_error(OSError(errno.ENOSPC, "x"), "/p", "written"))
    assert isinstance(file_error(PermissionError(errno.EACCES, "x"), "/p/q", "written"), ConfigurationError)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="file/below"):
        objects.create("file/below", b"")


def test_full_disk_writes_nothing():
    # /dev/full refuses every byte, as a full disk does.
    with pytest.raises(OSError, match="No space"), open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    code = (
        "import resource, sys\n"
        "from penstock.stores.objects import LocalObjects\n"
        "import signal, tempfile, os\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "root = tempfile.mkdtemp()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    LocalObjects(root).create('a', b'x' * 5000)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, os.listdir(root))\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "TransientError []\n"


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.exists("/proc/sys"), reason="root may write everywhere")
def test_read_only_folder_is_a_sentence():
    objects = LocalObjects("/proc/sys/penstock-test")
    with pytest.raises((ConfigurationError, NotFoundError), match="penstock-test"):
        objects.create("a", b"x")


def test_killed_writers_leave_whole_objects_only(objects, tmp_path):
    code = (
        "import sys\n"
        "from penstock.stores.objects import LocalObjects\n"
        "objects = LocalObjects(sys.argv[1])\n"
        "print('go', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    objects.create(f'n/{n}', b'y' * 100_000)\n"
        "    n += 1\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "root")], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"go\n"
        threading.Event().wait(0.3)
        child.kill()
    sizes = {info.bytes for info in objects.list()}
    assert sizes == {100_000}


def test_a_lake_whose_path_delta_would_read_otherwise_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"percent sign .* Got: .*a%20b/lake/clicks"):
        LocalObjects(tmp_path / "a%20b" / "lake").delta("clicks")
    assert LocalObjects(tmp_path / "100% sure").delta("clicks") == (f"{tmp_path}/100% sure/clicks", None)
