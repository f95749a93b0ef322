"""Seeded damage: to photos, to containers of photos, and to the files of an index."""

import functools
import io
import json
import random
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from whole_index import encoded, files_of, mend_checksums, read_content, write_content

ODD_VALUES = (
    None, True, -1, 0, 1, 3, 10**9, 10**18, -(10**30), 0.5, 1e308, float("nan"), float("inf"), "", "x", "0-999999999",
    "../../etc/passwd", "\ud800", "thumbnail:99999", "none", "pooled", [], [1], {}, {"a": 1}, "a" * 64,
)  # fmt: skip
FORMATS = (
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}), ("BMP", {}), ("PPM", {}),
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes that were overwritten, cut, doubled, moved or filled in one of many ways."""
    out = bytearray(data)
    reach = len(out) if rng.random() < 0.5 else min(len(out), 200)  # headers lie at the beginning
    way = rng.randrange(8)
    if way < 3 and out:
        for _ in range(rng.choice((1, 1, 2, 8))):
            out[rng.randrange(reach)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif way == 3:
        del out[rng.randrange(len(out) + 1) :]
    elif way == 4:
        at = rng.randrange(reach + 1)
        out[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
    elif way == 5:
        at = rng.randrange(reach + 1)
        del out[at : at + rng.choice((1, 4, 64))]
    elif way == 6:
        at = rng.randrange(reach + 1)
        out[at : at + 8] = rng.choice((b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f" * 2, b"\0\0\0\0\0\0\0\x10"))
    else:
        start, end = sorted((rng.randrange(len(out) + 1), rng.randrange(len(out) + 1)))
        out[rng.randrange(len(out) + 1) : 0] = out[start:end]
    return bytes(out)


@functools.cache
def whole_photo(number: int) -> tuple[str, bytes]:
    """A valid photo of one of the formats: its suffix and bytes."""
    kind, options = FORMATS[number % len(FORMATS)]
    buffer = io.BytesIO()
    extra = {"exif": Image.Exif()} if kind in ("JPEG", "PNG", "WEBP") else {}
    if extra:
        extra["exif"][0x0112] = 6
    Image.open(io.BytesIO(encoded(number))).save(buffer, kind, **options, **extra)
    return kind.lower(), buffer.getvalue()


def malformed_photo(case: int) -> tuple[str, bytes]:
    """The suffix and bytes of a damaged photo, which may still be one."""
    rng = random.Random(case)
    suffix, data = whole_photo(rng.randrange(len(FORMATS)))
    for _ in range(rng.choice((1, 1, 3))):
        data = damaged(data, rng)
    return suffix, data


@functools.cache
def whole_container(kind: str) -> bytes:
    """A tar of three photos with sidecars, or a parquet file of as many."""
    buffer = io.BytesIO()
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"image": [encoded(n) for n in range(3)], "caption": ["a", "b", "c"]}), buffer)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(3):
            about = json.dumps({"text": f"photo {number}", "label": 7}).encode()
            for name, data in ((f"{number}.png", encoded(number)), (f"{number}.json", about)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def malformed_container(case: int) -> tuple[str, bytes]:
    rng = random.Random(case)
    kind = rng.choice(("tar", "parquet"))
    data = whole_container(kind)
    if kind == "parquet" and rng.random() < 0.7:  # what says where things lie is at its end
        at = len(data) - rng.randrange(1, 600)
        return kind, data[:at] + damaged(data[at:], rng)
    if kind == "tar" and rng.random() < 0.7:  # the header of a member
        starts = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
        at = rng.choice(starts)
        return kind, data[:at] + damaged(data[at : at + 512], rng)[:512].ljust(512, b"\0") + data[at + 512 :]
    return kind, damaged(data, rng)


def spoil_index(index: Path, case: int) -> str:
    """Damage one file of an index, with the checksums right again in every second case; return what was done."""
    rng, mended = random.Random(case), case % 2 == 1
    files = files_of(index)
    kinds = sorted({_kind_of(file) for file in files})
    kind = kinds[case // 2 % len(kinds)]  # each kind of file in turn
    file = rng.choice([one for one in files if _kind_of(one) == kind])
    if file.name == "manifest.json":
        _spoil_manifest(index, rng, mended)
        return f"manifest.json{', checksum right' * mended}"
    if mended and rng.random() < 0.5:
        data = _REWRITERS[kind](file.read_bytes(), rng)
    else:
        data = damaged(file.read_bytes(), rng)
    file.write_bytes(data)
    if mended:
        mend_checksums(index)
    return f"{file.relative_to(index)}{', checksum right' * mended}"


def _kind_of(file: Path) -> str:
    return file.name.partition("-")[0].partition(".")[0]


def _spoil_manifest(index: Path, rng: random.Random, mended: bool) -> None:
    path = index / "manifest.json"
    if not mended:
        path.write_bytes(damaged(path.read_bytes(), rng))
        return
    content = read_content(index)
    for _ in range(rng.choice((1, 1, 2))):
        place, key = rng.choice(list(_places(content)))
        if rng.random() < 0.15:
            del place[key]
        elif rng.random() < 0.1 and isinstance(place, dict):
            place["novelty"] = rng.choice(ODD_VALUES)
        else:
            place[key] = rng.choice(ODD_VALUES)
    write_content(index, content)


def _places(value):
    """Yield every entry within a JSON value: what holds it, and its key or position."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list) and value[key]:
            yield from _places(value[key])


def _odd_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return an array of another shape, type or content."""
    ways = (
        lambda: array[:-1], lambda: np.concatenate([array, array]), lambda: array.reshape(-1), lambda: array[None],
        lambda: array[:0], lambda: array.astype(np.float64), lambda: array.astype(np.int32), lambda: array.astype("S4"),
        lambda: np.full_like(array, rng.choice((0, 1, 255)) if array.dtype.kind in "ui" else np.nan),
        lambda: np.frombuffer(rng.randbytes(array.nbytes), array.dtype).reshape(array.shape),
        lambda: np.array(7), lambda: np.asfortranarray(array),
    )  # fmt: skip
    with np.errstate(all="ignore"):
        return rng.choice(ways)()


def _odd_vectors(data: bytes, rng: random.Random) -> bytes:
    import h5py

    with h5py.File(io.BytesIO(data)) as file:
        arrays = {name: file[name][:] for name in file}
    buffer, name, way = io.BytesIO(), rng.choice(sorted(arrays)), rng.randrange(5)
    with h5py.File(buffer, "w") as file:
        for one, array in arrays.items():
            if one != name:
                file[one] = array
            elif way == 0:
                file.create_group(one)
            elif way == 1:  # takes no space in the file, and 2 TB in memory
                file.create_dataset(one, (1 << 40,), "f2", chunks=(1 << 20,))
            elif way == 2:
                file.create_dataset(one, data=array, chunks=array.shape, compression="gzip")
            elif way > 2:
                file[one] = _odd_array(array, rng)
    return buffer.getvalue()


def _odd_photos(data: bytes, rng: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    name, rows = rng.choice(table.column_names), table.num_rows
    number = pa.types.is_integer(table.schema.field(name).type)
    values = table.column(name).to_pylist()
    if values:
        values[rng.randrange(rows)] = rng.choice(
            (-1, 10**6, 1 << 62, -(1 << 63), None) if number else ("", None, "../x", "\0", "z" * 10**5)
        )
    kind = table.schema.field(name).type
    at = table.column_names.index(name)
    bad_text = pa.Array.from_buffers(
        pa.string(), rows, [None, pa.py_buffer(np.arange(rows + 1, dtype=np.int32)), pa.py_buffer(b"\xff" * rows)]
    )
    ways = (
        lambda: table.set_column(at, name, pa.array(values, kind)),
        lambda: table.set_column(at, name, pa.array(values, kind)),
        lambda: table.remove_column(at),
        lambda: table.slice(0, max(rows - 1, 0)),
        lambda: pa.concat_tables([table, table]),
        lambda: table.set_column(at, name, pa.array([1.5] * rows)),
        lambda: table.set_column(at, name, pa.array([[1]] * rows)),
        lambda: table.set_column(at, "other", table.column(at)),
        lambda: table.set_column(at, name, bad_text),
        lambda: table.append_column("more", table.column(at)),
    )
    buffer = io.BytesIO()
    pq.write_table(rng.choice(ways)(), buffer)
    return buffer.getvalue()


def _odd_kind(data: bytes, rng: random.Random) -> bytes:
    array = _odd_array(np.load(io.BytesIO(data)), rng)
    buffer = io.BytesIO()
    np.save(buffer, array)
    if rng.random() < 0.2:  # claims more than it holds
        return buffer.getvalue().replace(b"'shape': (", b"'shape': (9000000000, ", 1)
    return buffer.getvalue()


def _odd_tensors(data: bytes, rng: random.Random) -> bytes:
    from safetensors.numpy import load, save

    arrays = load(data)
    name = rng.choice(sorted(arrays))
    way = rng.randrange(4)
    if way == 0:
        del arrays[name]
    elif way == 1:  # its header alone
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        place, key = rng.choice(list(_places(header)))
        place[key] = rng.choice(ODD_VALUES)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]
    else:
        odd = _odd_array(arrays[name], rng)
        arrays[name] = np.ascontiguousarray(odd if odd.dtype.kind != "S" else odd.view(np.uint8))
    return save(arrays)


_REWRITERS = {
    "vectors": _odd_vectors, "photos": _odd_photos, "kind": _odd_kind, "places": _odd_tensors, "codes": _odd_tensors,
}  # fmt: skip
