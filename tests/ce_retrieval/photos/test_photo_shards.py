"""WebDataset tars: made with tarfile, read in place; unsafe and damaged ones refused before any photo is given."""

import gzip
import io
import json
import logging
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.photos import PhotoItem, open_source


def add(tar: tarfile.TarFile, name: str, data: bytes = b"photo") -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def make(path, members, form=tarfile.GNU_FORMAT):
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members:
            add(tar, name, data)
    return path


def test_samples_with_sidecars(tmp_path):
    fields = {"text": "from json", "license": "CC0", "label": 7}
    path = make(
        tmp_path / "train.tar",
        [
            ("sea/0001.jpg", b"one"),
            ("sea/0001.json", json.dumps(fields).encode()),
            ("sea/0002.txt", "  a grey sea, Orkney – at dusk\n".encode()),
            ("sea/0002.cls", b"3"),
            ("sea/0002.json", json.dumps({**fields, "licence": "CC-BY"}).encode()),
            ("sea/0002.seg.png", b"a mask"),
            ("sea/0002.PNG", b"two, longer"),
            ("./plain.webp", b"three"),
            ("only.txt", b"no photo here"),
            ("last.tiff", b""),
        ],
    )
    source = open_source(path)
    items = list(source.items())
    assert (source.kind, source.root, source.count()) == ("tar", str(path), 4)
    assert [(i.key, i.label, i.caption, i.licence) for i in items] == [
        ("sea/0001.jpg", "7", "from json", "CC0"),
        ("sea/0002.png", "3", "a grey sea, Orkney – at dusk", "CC-BY"),
        ("plain.webp", "", "", ""),
        ("last.tiff", "", "", ""),
    ]
    assert [source.read(item) for item in items] == [b"one", b"two, longer", b"three", b""]
    assert list(source.items()) == items
    source.close()
    with pytest.raises(PhotoError, match="closed"):
        source.read(items[0])
    source.close()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path, form):
    names = ["d" * 80 + "/" + "f" * 60 + ".jpg", "é/ü.jpg"]
    if form != tarfile.USTAR_FORMAT:
        names.append("/".join(["deep" * 20] * 5) + "/x.jpg")
    source = open_source(make(tmp_path / "t.tar", [(name, name.encode()) for name in names], form))
    items = list(source.items())
    assert [item.key for item in items] == names
    assert [source.read(item).decode() for item in items] == names
    assert [item.label for item in items] == [name.split("/")[0] for name in names]


def test_everything_round_trips_from_many_threads(tmp_path):
    rng = random.Random(0)
    members = [(f"{i:05d}.jpg", rng.randbytes(rng.randrange(3000))) for i in range(300)]
    source = open_source(make(tmp_path / "t.tar", members))
    items = list(source.items()) * 3
    rng.shuffle(items)
    content = dict(members)
    with ThreadPoolExecutor(8) as pool:
        for item, data in zip(items, pool.map(source.read, items), strict=True):
            assert data == content[item.key]


def test_a_repeated_extension_starts_a_new_sample(tmp_path):
    source = open_source(make(tmp_path / "t.tar", [("a.jpg", b"1"), ("a.txt", b"x"), ("a.jpg", b"2"), ("a.png", b"3")]))
    assert [(i.key, i.caption, source.read(i)) for i in source.items()] == [("a.jpg", "x", b"1"), ("a.jpg", "", b"2")]


def test_links_folders_and_hidden_members_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo("link.jpg")
            link.type, link.linkname = kind, "/etc/passwd"
            tar.addfile(link)
        for name in ("._x.jpg", ".jpg", "noextension", "true.jpg"):
            add(tar, name)
    assert [item.key for item in open_source(tmp_path / "t.tar").items()] == ["true.jpg"]


@pytest.mark.parametrize(
    "name", ["/abs.jpg", "../up.jpg", "a/../../up.jpg", "a/..", "C:/x.jpg", "C:\\x.jpg", "..\\up.jpg", "\\x.jpg"]
)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_unsafe_names_are_refused_before_anything_is_given(tmp_path, name, form):
    path = make(tmp_path / "bad.tar", [("fine.jpg", b"1"), (name, b"2")], form)
    with pytest.raises(SourceError, match=r"bad.tar: member .*(absolute path or '\.\.').*pack it again") as caught:
        open_source(path)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"bad.tar: member .*(absolute path or '\.\.')"):
        next(open_source(path, check=False).items())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE])
def test_unsafe_names_of_what_would_not_be_read_anyway(tmp_path, kind):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        add(tar, "fine.jpg")
        member = tarfile.TarInfo("../link")
        member.type = kind
        tar.addfile(member)
    with pytest.raises(SourceError, match=r"'\.\./link'"):
        open_source(tmp_path / "bad.tar")


def test_dots_that_do_not_mean_the_parent(tmp_path):
    path = make(tmp_path / "t.tar", [("a../..b/c.jpg", b"1"), ("...x/y.jpg", b"2")])
    assert [item.key for item in open_source(path).items()] == ["a../..b/c.jpg", "...x/y.jpg"]


def test_truncated_at_every_kind_of_place(tmp_path):
    path = make(tmp_path / "t.tar", [(f"{i}.jpg", bytes(700)) for i in range(4)])
    data = path.read_bytes()
    end = 4 * (512 + 1024)
    for cut in (0, 1, 300, 511, 512, 600, 1536, 1600, 2048, 3000, end - 400, end - 1, end, end + 100):
        (tmp_path / "cut.tar").write_bytes(data[:cut])
        with pytest.raises(SourceError, match=r"cut.tar: .*(truncated|not a whole tar|damaged)"):
            open_source(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(data[: end + 512])
    assert open_source(tmp_path / "cut.tar").count() == 4


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = make(tmp_path / "t.tar", [(f"{i}.jpg", bytes(700)) for i in range(4)])
    data = bytearray(path.read_bytes())
    data[2 * 1536 + 5] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged at byte 3072"):
        open_source(path)


def test_random_damage_is_always_a_source_error_or_harmless(tmp_path):
    whole = make(tmp_path / "t.tar", [("a" * 150 + f"{i}.jpg", b"x" * 700) for i in range(3)], tarfile.PAX_FORMAT)
    data = whole.read_bytes()
    rng = random.Random(4)
    failed = 0
    for _ in range(200):
        copy = bytearray(data)
        for _ in range(3):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        (tmp_path / "bad.tar").write_bytes(copy)
        try:
            source = open_source(tmp_path / "bad.tar")
            for item in source.items():
                source.read(item)
        except SourceError:
            failed += 1
    assert failed > 20


def test_a_member_of_negative_size_does_not_loop(tmp_path):
    info = tarfile.TarInfo("a.jpg")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"  # base-256 for -512
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    (tmp_path / "t.tar").write_bytes(bytes(block) + bytes(1024))
    with pytest.raises(SourceError, match=r"t\.tar: "):
        open_source(tmp_path / "t.tar")


def test_compressed_and_foreign_files(tmp_path):
    plain = make(tmp_path / "t.tar", [("a.jpg", b"1")]).read_bytes()
    for name in ("t.tar.gz", "t.tgz", "zipped.tar"):
        (tmp_path / name).write_bytes(gzip.compress(plain))
        with pytest.raises(SourceError, match=r"compressed with gzip; decompress it first"):
            open_source(tmp_path / name)
    (tmp_path / "text.tar").write_bytes(b"this is no tar " * 100)
    with pytest.raises(SourceError, match=r"text.tar: not a whole tar"):
        open_source(tmp_path / "text.tar")
    with pytest.raises(SourceError, match="no photo in it"):
        open_source(make(tmp_path / "none.tar", [("readme.txt", b"x")]))
    (tmp_path / "folder.tar").mkdir()
    with pytest.raises(SourceError, match=r"folder.tar"):
        open_source(tmp_path / "folder.tar", "tar")


def test_sparse_members_are_refused(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("a.jpg")
        info.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(info)
    with pytest.raises(SourceError, match=r"'a\.jpg' is stored sparse"):
        open_source(tmp_path / "t.tar")


def test_unreadable_sidecars_are_logged_and_left_out(tmp_path, caplog):
    members = [("a.jpg", b"1"), ("a.json", b"{not json"), ("a.txt", b"\xff\xfe"), ("b.jpg", b"2"), ("b.json", b"[1]")]
    members += [("c.jpg", b"3"), ("c.txt", b"x" * (1 << 20) + b"x"), ("d.jpg", b"4"), ("d.json", b'{"label": true}')]
    source = open_source(make(tmp_path / "t.tar", members))
    with caplog.at_level(logging.WARNING):
        assert [(i.label, i.caption, i.licence) for i in source.items()] == [("", "", "")] * 4
    assert [record.getMessage().split("/")[-1].split(":")[0] for record in caplog.records] == [
        "a.json",
        "a.txt",
        "b.json",
        "c.txt",
    ]


def test_items_that_do_not_fit_the_tar(tmp_path):
    source = open_source(make(tmp_path / "t.tar", [("a.jpg", b"1")]))
    for item, reason in [
        (PhotoItem("a.jpg"), "no offset"),
        (PhotoItem("a.jpg", offset=10**9, length=5), "ends 5 bytes early"),
        (PhotoItem("a.jpg", offset=0, length=1 << 40), "more than"),
        (PhotoItem("a.jpg", offset=1 << 70, length=1), "cannot be read"),
    ]:
        with pytest.raises(PhotoError, match=reason):
            source.read(item)


def test_reading_known_items_needs_no_scan(tmp_path, monkeypatch):
    path = make(tmp_path / "t.tar", [("a.jpg", b"content")])
    (item,) = open_source(path).items()
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("scanned"))
    assert open_source(path, check=False).read(item) == b"content"
