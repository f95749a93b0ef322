"""Run in a process of its own: gives malformed photos, containers or indexes to ceret, and prints a JSON line for each.

A line says what the case was and what is wrong with how ceret took it, null where nothing is: a result, or an error of one
line. The process ends with its stack on stderr when a case takes longer than LIMIT seconds, wherever it is. It may take MEMORY
bytes more than it has at the beginning, so a case that asks for more is a fault.

usage: fuzz_driver.py photos|containers|indexes FIRST LAST FOLDER
"""

import contextlib
import faulthandler
import json
import os
import resource
import shutil
import sys
import traceback
import warnings
from pathlib import Path

import commands
import fake_kind
import mutations
import whole_index

from ce_retrieval.errors import CeretError
from ce_retrieval.photo_index import builder
from ce_retrieval.photos import decode_photo, open_source

LIMIT, MEMORY = 30, 1 << 30


def fault_of_photo(case: int, folder: Path) -> tuple[str, str | None]:
    suffix, data = mutations.malformed_photo(case)
    try:
        pixels = decode_photo(data, name=f"photo.{suffix}", size=32, max_pixels=10_000_000).pixels
    except CeretError as error:
        return suffix, None if is_one_line(str(error)) else f"not one line: {error}"
    return suffix, None if pixels.shape == (32, 32, 3) else f"pixels of shape {pixels.shape}"


def fault_of_container(case: int, folder: Path) -> tuple[str, str | None]:
    suffix, data = mutations.malformed_container(case)
    path = folder / f"photos.{suffix}"
    path.write_bytes(data)
    try:
        with contextlib.closing(open_source(path)) as source:
            for item in source.items():
                try:
                    decode_photo(source.read(item), name=item.key, size=32, max_pixels=10_000_000)
                except CeretError as error:
                    if not is_one_line(str(error)):
                        return suffix, f"not one line: {error}"
    except CeretError as error:
        return suffix, None if is_one_line(str(error)) else f"not one line: {error}"
    return suffix, None


def fault_of_index(case: int, folder: Path) -> tuple[str, str | None]:
    whole, index = folder / "whole.ceret", folder / "index.ceret"
    photos = folder / "photos"
    if not whole.exists():
        whole_index.make_collection(folder)
    commands.renew(whole, index)
    what = mutations.spoil_index(index, case)
    spoilt = folder / "spoilt.ceret"
    shutil.rmtree(spoilt, ignore_errors=True)
    index.rename(spoilt)
    photo = photos / "even" / "0004.png"
    commands.renew(spoilt, index)
    for name, command in commands.reading(index, photo).items():
        if fault := commands.fault_of(commands.run(command)):
            return what, f"{name}: {fault}"
    for name, command in commands.changing(index, photo, whole).items():
        commands.renew(spoilt, index)
        if fault := commands.fault_of(commands.run(command)):
            return what, f"{name}: {fault}"
    return what, None


def is_one_line(text: str) -> bool:
    return 0 < len(text) < 1500 and "\n" not in text and "Traceback" not in text


FAULTS = {"photos": fault_of_photo, "containers": fault_of_container, "indexes": fault_of_index}


def main() -> None:
    what, first, last, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    whole_index.small_segments()
    fake_kind.install()
    builder.missing_packages = list
    warnings.simplefilter("error")
    FAULTS[what](10**6, folder)  # imports what is needed
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    for case in range(first, last):
        print(json.dumps({"begun": case}), flush=True)
        faulthandler.dump_traceback_later(LIMIT, exit=True)
        try:
            name, fault = FAULTS[what](case, folder)
        except Exception:
            name, fault = "", traceback.format_exc()
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"case": case, "what": name, "fault": fault}), flush=True)


if __name__ == "__main__":
    main()
