"""Compressed files and archives: what comes out of them, and all that is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draining import Read, read

from penstock.catalog.holders import this_process
from penstock.errors import ConfigurationError, DataError
from penstock.extract.files.source import FilesSource
from penstock.extract.files.spool import Spool
from penstock.extract.port import Request, Scan
from penstock.model.specs import Protection, SourceSpec, WriteMode
from penstock.stores.engine import SHARED_MEMORY, SPILL

Take = Callable[..., Read]
CSV = b"a,b\n1,x\n2,y\n"
ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return bytes(sink.getvalue().to_pybytes())


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:", form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            archive.addfile(entry(name, len(data)), io.BytesIO(data))
    return made.getvalue()


def entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


@pytest.fixture
def take(tmp_path: Path) -> Take:
    def run(name: str, content: bytes | None = None, **options: Any) -> Read:
        path = tmp_path / name.partition("!")[0]
        if content is not None:
            path.write_bytes(content)
        return read(FilesSource(), asked(tmp_path, name, **options))

    return run


def asked(root: Path, path: str, position: Any = None, **options: Any) -> Request:
    source = SourceSpec(table="t", kind="files", options={"path": path, **options}, write=WriteMode.APPEND)
    return Request(source=source, root=str(root), position=position)


@pytest.fixture(autouse=True)
def no_spool_is_left() -> Iterator[None]:
    before = spools()
    yield
    assert spools() <= before


def spools() -> set[Path]:
    """Return the folders of spilled data of this process."""
    found = set()
    for place in (tempfile.gettempdir(), SHARED_MEMORY):
        for owner in Path(place).glob(f"{SPILL}*/owner"):
            with suppress(FileNotFoundError):
                if owner.read_text() == this_process():
                    found.add(owner.parent)
    return found


COMPRESSED = {".gz": gzip.compress, ".zst": zstd, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_each_compression_of_each_text(take: Take, suffix: str) -> None:
    pack = COMPRESSED[suffix]
    assert take(f"t.csv{suffix}", pack(CSV)).rows == ROWS
    assert take(f"t.tsv{suffix}", pack(CSV.replace(b",", b"\t"))).rows == ROWS
    assert take(f"t.jsonl{suffix}", pack(b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')).rows == ROWS
    assert take(f"t.json{suffix}", pack(b'[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]')).rows == ROWS


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_several_streams_one_after_the_other_are_all_read(take: Take, suffix: str) -> None:
    pack = COMPRESSED[suffix]
    assert take(f"t.csv{suffix}", pack(CSV) + pack(b"3,z\n")).rows == [*ROWS, {"a": 3, "b": "z"}]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_file_that_is_cut_or_has_a_wrong_byte_is_refused(take: Take, suffix: str) -> None:
    whole = COMPRESSED[suffix](CSV + b"".join(b"%d,%d\n" % (n, n * 7919 % 1009) for n in range(20_000)))
    for bad in (whole[: len(whole) // 2], whole[:-1], whole[:200] + bytes([whole[200] ^ 4]) + whole[201:]):
        if bad == whole[:200] + bytes([whole[200] ^ 4]) + whole[201:] and suffix == ".zst":
            continue  # zstd carries a checksum only where its writer asked for one
        with pytest.raises(DataError, match=r"The compressed content of t\.csv\S* is damaged or cut off"):
            take(f"t.csv{suffix}", bad)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_file_that_is_compressed_twice_is_told(take: Take, suffix: str) -> None:
    with pytest.raises(DataError, match="is compressed twice"):
        take(f"t.csv{suffix}", COMPRESSED[suffix](gzip.compress(CSV)))


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_bomb_is_stopped_by_its_ratio_and_by_its_bytes(take: Take, suffix: str) -> None:
    pack = COMPRESSED[suffix]
    bomb = pack(b"a\n") + pack(b"1\n" * 2**19) * 70
    with pytest.raises(DataError, match=r"holds more than 50 times its size of [\d,]+ bytes; it was not unpacked"):
        take(f"t.csv{suffix}", bomb, unpack={"ratio": 50})
    with pytest.raises(DataError, match=r"holds more than 1,000,000 bytes"):
        take(f"t.csv{suffix}", bomb, unpack={"bytes": 1_000_000})


TARS = {".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


@pytest.mark.parametrize("suffix", [".zip", *TARS, ".tar.zst"])
def test_the_members_of_an_archive_are_files_with_origins_of_their_own(tmp_path: Path, suffix: str) -> None:
    parquet = io.BytesIO()
    pq.write_table(pa.table({"a": [7], "b": ["p"]}), parquet)
    members = {
        "in/x.csv": CSV, "in/y.csv.gz": gzip.compress(b"a,b\n3,z\n"), "in/deep/z.csv.bz2": bz2.compress(b"a,b\n4,w\n"),
        "in/p.parquet": parquet.getvalue(), "in/readme.txt": b"no data", "in/_aside.csv": b"no\n", "in/empty.csv": b"",
    }  # fmt: skip
    made = zipped(members) if suffix == ".zip" else tarred(members, TARS.get(suffix, "w:"))
    (tmp_path / f"t{suffix}").write_bytes(zstd(made) if suffix == ".tar.zst" else made)
    extraction = FilesSource().open(asked(tmp_path, f"t{suffix}"))
    assert extraction is not None
    scans = [batch for batch in extraction.batches() if isinstance(batch, Scan)]
    keys = [uri for scan in scans for uri, _ in scan.origins]
    position = extraction.position()
    extraction.close()
    assert keys == [f"t{suffix}!in/{name}" for name in ("x.csv", "y.csv.gz", "deep/z.csv.bz2", "p.parquet")]
    assert list(position["files"]) == [f"t{suffix}"]
    found = read(FilesSource(), asked(tmp_path, f"t{suffix}"))
    assert found.rows == [*ROWS, {"a": 3, "b": "z"}, {"a": 4, "b": "w"}, {"a": 7, "b": "p"}]
    assert found.notes == (f"t{suffix}!in/empty.csv is empty",)
    assert read(FilesSource(), asked(tmp_path, f"t{suffix}", position)).rows is None


def test_a_glob_after_the_exclamation_mark_chooses_members(take: Take) -> None:
    made = zipped({"2024/x.csv": CSV, "2025/x.csv": b"a,b\n9,z\n", "2025/y.txt": b"a,b\n8,w\n"})
    assert take("t.zip!2025/*.csv", made).rows == [{"a": 9, "b": "z"}]
    assert take("t.zip!**/x.csv").rows == [*ROWS, {"a": 9, "b": "z"}]
    assert take("t.zip!2025/*.txt", format="csv").rows == [{"a": 8, "b": "w"}]
    with pytest.raises(DataError, match=r"The format of t\.zip!2025/y\.txt cannot be told"):
        take("t.zip!2025/*")
    found = take("t.zip!none/*")
    assert found.rows == []
    assert found.notes == ("t.zip has no member that is wanted (none/*)",)


OUTSIDE = ["/etc/x.csv", "../x.csv", "a/../../x.csv", "a\\..\\x.csv", "C:/x.csv", "a/..", ".."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_of_the_archive_are_refused(take: Take, tmp_path: Path, name: str) -> None:
    for made, path in ((zipped({"ok.csv": CSV, name: CSV}), "t.zip"), (tarred({"ok.csv": CSV, name: CSV}), "t.tar")):
        with pytest.raises(DataError, match=f"of {path} has a name that leads out of the archive; nothing"):
            take(path, made)
    assert not list(tmp_path.parent.glob("x.csv"))


@pytest.mark.parametrize(
    ("kind", "link"),
    [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "ok.csv"), (tarfile.CHRTYPE, ""), (tarfile.FIFOTYPE, "")],
)
def test_links_and_devices_are_refused(take: Take, kind: bytes, link: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(entry("ok.csv", len(CSV)), io.BytesIO(CSV))
        archive.addfile(entry("bad.csv", kind=kind, link=link))
    with pytest.raises(DataError, match=r"The member 'bad\.csv' of t\.tar is a link, a device or a sparse file"):
        take("t.tar", made.getvalue())


def test_a_link_in_a_zip_is_refused(take: Take) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        info = zipfile.ZipInfo("bad.csv")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"'bad\.csv' of t\.zip is a link or a device"):
        take("t.zip", made.getvalue())


def test_a_member_that_is_encrypted_or_packed_in_an_unknown_way_is_refused(take: Take) -> None:
    made = bytearray(zipped({"a.csv": CSV}))
    directory = made.index(b"PK\1\2")
    locked = bytearray(made)
    locked[directory + 8] |= 1
    with pytest.raises(DataError, match=r"'a\.csv' of t\.zip is encrypted"):
        take("t.zip", bytes(locked))
    made[8] = made[directory + 10] = 97
    with pytest.raises(DataError, match=r"t\.zip is packed in a way that cannot be read"):
        take("t.zip", bytes(made))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(take: Take) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("./a.csv", b"a,b\n9,z\n")
    with pytest.raises(DataError, match="is there twice"):
        take("t.zip", made.getvalue())
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w") as tar:
        for _ in range(2):
            tar.addfile(entry("a.csv", len(CSV)), io.BytesIO(CSV))
    with pytest.raises(DataError, match="is there twice"):
        take("t.tar", twice.getvalue())


def test_an_archive_within_an_archive_is_refused_unless_it_is_left_out(take: Take) -> None:
    made = zipped({"a.csv": CSV, "inner.zip": zipped({"b.csv": CSV})})
    with pytest.raises(DataError, match=r"t\.zip!inner\.zip is an archive within an archive"):
        take("t.zip", made)
    assert take("t.zip!*.csv").rows == ROWS
    with pytest.raises(DataError, match=r"t\.zip!b\.csv is a zip archive by its content"):
        take("t.zip", zipped({"b.csv": zipped({"c.csv": CSV})}))


def test_the_members_of_an_archive_are_bounded_together(take: Take) -> None:
    members = {f"{number}.csv": b"a\n" + b"1\n" * 2**19 for number in range(100)}
    packed = zipped(members)
    tar = tarred(members, "w:gz")
    for name, made in (("t.zip", packed), ("t.tar.gz", tar)):
        with pytest.raises(DataError, match="holds more than 20 times its size"):
            take(name, made, unpack={"ratio": 20})
        with pytest.raises(DataError, match="holds more than 9,000,000 bytes"):
            take(name, made, unpack={"bytes": 9_000_000})
        with pytest.raises(DataError, match="holds more than 99 members"):
            take(name, made, unpack={"members": 99, "ratio": 10**6})


def test_members_that_are_not_wanted_count_too_and_a_compressed_member_counts_by_what_it_holds(take: Take) -> None:
    bomb = gzip.compress(b"a\n") + gzip.compress(b"1\n" * 2**19) * 90
    with pytest.raises(DataError, match="holds more than 200 times its size"):
        take("t.zip", zipped({"a.csv.gz": bomb}))
    skipped = tarred({"x.bin": b"\0" * (80 * 2**20), "a.csv": CSV}, "w:gz")
    with pytest.raises(DataError, match="holds more than 200 times its size"):
        take("t.tar.gz", skipped)


def test_the_directory_of_a_zip_is_measured_before_it_is_read(take: Take) -> None:
    made = zipped({f"{number:0200d}": b"" for number in range(50)})
    with pytest.raises(DataError, match="holds a directory of 12,300 bytes, for more than 10 members"):
        take("t.zip", made, unpack={"members": 10})


@pytest.mark.parametrize("name", ["t.zip", "t.tar", "t.tar.gz"])
def test_an_archive_that_is_cut_anywhere_is_refused(take: Take, name: str) -> None:
    members = {f"{number}.csv": CSV + b"%d,q\n" % number for number in range(30)}
    whole = zipped(members) if name == "t.zip" else tarred(members, "w:gz" if name.endswith("gz") else "w:")
    assert len(take(name, whole).rows or ()) == 90
    # Within a header, within a member, and just where a member ends, with no byte of the next one.
    for length in (100, 700, 1024, len(whole) // 3, len(whole) // 2 // 1024 * 1024, 30 * 1024, 30 * 1024 + 511):
        if 0 < length < len(whole):
            with pytest.raises(DataError, match=r"damaged or cut off"):
                take(name, whole[:length])


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_its_end(take: Take) -> None:
    whole = bytearray(tarred({f"{number}.csv": CSV for number in range(4)}))
    whole[2048] ^= 0xFF
    with pytest.raises(DataError, match="damaged or cut off"):
        take("t.tar", bytes(whole))


def test_a_wrong_byte_in_a_member_of_a_zip_is_noticed(take: Take) -> None:
    whole = bytearray(zipped({"a.csv": CSV}, zipfile.ZIP_STORED))
    place = whole.index(b"1,x")
    whole[place] ^= 1
    with pytest.raises(DataError, match="damaged or cut off"):
        take("t.zip", bytes(whole))


def test_archives_put_one_after_the_other_are_refused(take: Take) -> None:
    with pytest.raises(DataError, match=r"t\.tar goes on after its end"):
        take("t.tar", tarred({"a.csv": CSV}) + tarred({"b.csv": CSV}))


def test_a_header_that_claims_gigabytes_is_refused_without_them(take: Take) -> None:
    long = entry("x", kind=tarfile.GNUTYPE_LONGNAME)
    long.size = 2**33
    with pytest.raises(DataError, match=r"A header of t\.tar is longer than 16,777,216 bytes"):
        take("t.tar", long.tobuf(tarfile.GNU_FORMAT) + b"x" * 4096)


def test_limits_that_cannot_be_are_told(take: Take) -> None:
    for given, sentence in (
        (7, "must be a table of limits"),
        ({"ration": 7}, "ratio"),
        ({"ratio": 0}, "no whole number above 0"),
        ({"ratio": "many"}, "no whole number above 0"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            take("t.csv.gz", gzip.compress(CSV), unpack=given)


def test_more_than_the_spool_may_hold_comes_in_windows(tmp_path: Path) -> None:
    members = {f"{number}.csv": b"a\n" + b"%d\n" % number * 1000 for number in range(20)}
    (tmp_path / "t.zip").write_bytes(zipped(members))
    from penstock.extract.files import archives
    from penstock.extract.files.listing import find

    files = find(asked(tmp_path, "t.zip"))
    most, seen = 0, []
    with Spool(archives.Limits(), None, None, [], window=8_000) as spool:
        for window in spool.windows(files):
            seen += [taken.file.key for taken in window]
            folder = Path(window[0].file.path).parent
            most = max(most, sum(path.stat().st_size for path in folder.iterdir()))
    assert seen == [f"t.zip!{number}.csv" for number in range(20)]
    assert most < 8_000 + 4_000


@pytest.mark.skipif(not Path(SHARED_MEMORY).is_mount(), reason="no memory is mounted as files here")
def test_what_is_personal_is_unpacked_in_memory_alone(tmp_path: Path) -> None:
    (tmp_path / "t.zip").write_bytes(zipped({"a.csv": CSV}))
    source = SourceSpec(
        table="t", kind="files", options={"path": "t.zip"}, write=WriteMode.APPEND, personal={"b": Protection.MASK}
    )
    extraction = FilesSource().open(Request(source=source, root=str(tmp_path)))
    assert extraction is not None
    try:
        scan = next(iter(extraction.batches()))
        assert isinstance(scan, Scan)
        assert [path.startswith(f"{SHARED_MEMORY}/{SPILL}") for path in scan.paths] == [True]
    finally:
        extraction.close()
