"""Photos in a parquet table with an image column."""

from __future__ import annotations

import bisect
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from ce_retrieval.errors import PhotoError, SourceError, some
from ce_retrieval.photos.base import PassedOver, PhotoItem, stamp_of
from ce_retrieval.reading import open_regular

_IMAGE_NAMES = ("image", "jpg", "jpeg", "png", "webp", "img", "photo", "bytes")
_KEY_NAMES = ("__key__", "key", "id", "file_name", "filename", "path", "url")
_CAPTION_NAMES = ("caption", "text")
_LICENCE_NAMES = ("licence", "license")
_LABEL_NAMES = ("label", "class")

_CACHED_GROUPS = 2  # row groups, which are read whole, that are kept
_CACHED_BYTES = 512 << 20  # most bytes of encoded photos that they may hold together


def open_table(path: str | os.PathLike[str]) -> Any:
    """Return pyarrow's ParquetFile of a file, whatever its name.

    By its path alone, pyarrow takes "my:photos.parquet" for an address in a file system of another machine, and refuses
    names that are not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    open_regular(path).close()  # a named pipe would block
    return pq.ParquetFile(pa.OSFile(os.fsencode(path)))


class ParquetSource:
    """The photos of one parquet table, by row.

    The image column holds encoded photos, as binary values or Hugging Face's struct{bytes, path}. It is the first that
    exists of image, jpg, jpeg, png, webp, img, photo and bytes (in upper or lower case), or else the only column of that
    type. Captions, licences and labels come from the columns caption or text, licence or license, and label or class; a
    Hugging Face ClassLabel becomes its name.

    An item's key is the row number, zero-padded to the table's width. If the row has a name (the struct's path, or a column
    `__key__`, key, id, file_name, filename, path or url), it follows after a colon: `00042:forest/12.jpg`. A row without
    bytes is an item: `read` says why it fails.

    Row groups are read whole, and the last two are kept, together at most 512 MiB; a table with a larger group is refused.
    """

    kind = "parquet"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import pyarrow as pa

        self.root = os.path.abspath(path)
        self.passed_over = PassedOver()
        try:
            self._file = open_table(self.root)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{self.root}: not a whole parquet table: {_short(error)}; make or fetch it again"
            ) from None
        try:
            schema = self._file.schema_arrow
            self._image = _image_column(schema, self.root)
            self._in_struct = pa.types.is_struct(schema.field(self._image).type)
            self._check_groups()
        except BaseException:
            self._file.close()
            raise
        metadata = self._file.metadata
        self._starts = [0]
        for group in range(metadata.num_row_groups):
            self._starts.append(self._starts[-1] + metadata.row_group(group).num_rows)
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, Any] = OrderedDict()
        self._closed = False

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photos in row order, reading the text columns alone in batches; SourceError."""
        import pyarrow as pa

        columns = self._text_columns()
        width = len(str(max(self.count() - 1, 0)))
        if not columns:
            yield from (PhotoItem(f"{row:0{width}d}", offset=row) for row in range(self.count()))
            return
        names = _class_names(self._file.schema_arrow, columns.get("label"))
        row = 0
        try:
            # A second handle: `read` may be using the first in another thread.
            with open_table(self.root) as file:
                for batch in file.iter_batches(4096, columns=sorted(set(columns.values())), use_threads=False):
                    for fields in _rows(batch, columns):
                        yield _item(row, width, fields, names)
                        row += 1
        except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
            raise SourceError(f"{self.root}: damaged near row {row}: {_short(error)}; make or fetch it again") from None

    def count(self) -> int:
        """Return the number of rows, from the table's footer."""
        return self._starts[-1]

    def read(self, item: PhotoItem) -> bytes:
        """Return the row's encoded photo; PhotoError if the row has none, is damaged, or does not exist."""
        name = f"{self.root}/{item.key}"
        if not 0 <= item.offset < self.count():
            raise PhotoError(f"{name}: row {item.offset} is not in a table of {self.count()} rows")
        group = bisect.bisect_right(self._starts, item.offset) - 1
        value = self._column(group, name)[item.offset - self._starts[group]].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            raise PhotoError(f"{name}: row {item.offset} holds no bytes in column {self._image!r}")
        return data

    def stamp(self, item: PhotoItem) -> tuple[int, int]:
        """Return size and time of change of the table."""
        return stamp_of(self.root)

    def rest(self) -> None:
        """Drop the cache."""
        with self._lock:
            self._cache.clear()

    def close(self) -> None:
        """Close the table and drop its cache; a later `read` raises PhotoError."""
        with self._lock:
            self._closed = True
            self._cache.clear()
            self._file.close()

    def _column(self, group: int, name: str) -> Any:
        """Return the image column of one row group, from the cache or the file."""
        import pyarrow as pa

        with self._lock:
            if self._closed:
                raise PhotoError(f"{name}: its source is closed")
            if group not in self._cache:
                column = f"{self._image}.bytes" if self._in_struct else self._image
                try:
                    table = self._file.read_row_group(group, columns=[column], use_threads=False)
                except (pa.ArrowException, OSError) as error:
                    raise PhotoError(f"{name}: damaged row group {group}: {_short(error)}") from None
                self._cache[group] = table.column(self._image)
                while len(self._cache) > _CACHED_GROUPS or (
                    len(self._cache) > 1 and sum(column.nbytes for column in self._cache.values()) > _CACHED_BYTES
                ):
                    self._cache.popitem(last=False)
            self._cache.move_to_end(group)
            return self._cache[group]

    def _check_groups(self) -> None:
        metadata = self._file.metadata
        for index in range(metadata.num_row_groups):
            group = metadata.row_group(index)
            columns = (group.column(i) for i in range(group.num_columns))
            size = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] == self._image)
            if size > _CACHED_BYTES:
                raise SourceError(
                    f"{self.root}: row group {index} holds {size >> 20} MiB of photos, more than {_CACHED_BYTES >> 20}; "
                    "write the table again with smaller row groups (row_group_size=1000)"
                )

    def _text_columns(self) -> dict[str, str]:
        """Return role -> column to read; roles: key, caption, licence, label, and path, of the struct."""
        import pyarrow as pa

        schema = self._file.schema_arrow
        roles = {"key": _KEY_NAMES, "caption": _CAPTION_NAMES, "licence": _LICENCE_NAMES, "label": _LABEL_NAMES}
        columns = {}
        for role, names in roles.items():
            found = _named(schema, names, lambda kind: _is_text(kind) or pa.types.is_integer(kind))
            if found is not None:
                columns[role] = found
        if self._in_struct:
            struct = schema.field(self._image).type
            if struct.get_field_index("path") >= 0 and _is_text(struct.field("path").type):
                columns["path"] = f"{self._image}.path"
        return columns


def _image_column(schema: Any, root: str) -> str:
    named = _named(schema, _IMAGE_NAMES, _is_photo)
    if named is not None:
        return named
    others = [field.name for field in schema if _is_photo(field.type)]
    if len(others) == 1:
        return others[0]
    columns = some([f"{field.name} ({field.type})" for field in schema], 12)
    raise SourceError(
        f"{root}: {'several columns' if others else 'no column'} could hold photos; columns: {columns}; "
        f"name a binary column one of {', '.join(_IMAGE_NAMES)}"
    )


def _named(schema: Any, names: tuple[str, ...], fits: Any) -> str | None:
    """Return the first column, in the order of `names`, whose name is one of them, in any case, and whose type fits."""
    for name in names:
        for field in schema:
            if field.name.lower() == name and fits(field.type):
                return field.name
    return None


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_photo(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _class_names(schema: Any, label: str | None) -> list[str]:
    """Return the names of a Hugging Face ClassLabel column, from the schema's metadata; [] if it has none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):  # written by something else
        return []


def _rows(batch: Any, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
    values = {}
    for role, column in columns.items():
        if role == "path":
            structs = batch.column(column.removesuffix(".path")).to_pylist()
            values[role] = [struct and struct["path"] for struct in structs]
        else:
            values[role] = batch.column(column).to_pylist()
    for row in range(batch.num_rows):
        yield {role: of_role[row] for role, of_role in values.items()}


def _item(row: int, width: int, fields: dict[str, Any], names: list[str]) -> PhotoItem:
    label = fields.get("label")
    if isinstance(label, int) and 0 <= label < len(names):
        label = names[label]
    name = _text(fields.get("path")) or _text(fields.get("key"))
    return PhotoItem(
        key=f"{row:0{width}d}:{name}" if name else f"{row:0{width}d}",
        label=_text(label),
        caption=_text(fields.get("caption")),
        licence=_text(fields.get("licence")),
        offset=row,
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
