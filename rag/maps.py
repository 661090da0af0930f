"""Map files into memory: processes that read the same index share one copy of it, and nothing is read before it is needed."""

import io
import mmap
import os
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

LOCAL_HEADER_BYTES = 30
"""Of a member of a zip file; the lengths of its name and extra field are the last four (PKWARE's APPNOTE, 4.3.7)."""


def map_file(path: Path) -> memoryview:
    """Map a file, read-only.

    :raises OSError: when it cannot be opened.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        status = os.fstat(file.fileno())
        if not status.st_size:  # nothing to map, as of a pipe or a device
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for whoever may write to a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def map_arrays(data: memoryview) -> dict[str, npt.NDArray[Any]]:
    """View the arrays of a file that `numpy.savez` wrote, where they lie.

    :raises ValueError: when it holds something else: packed members, objects, fewer bytes than it says.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member.filename}: packed")
        at = member.header_offset + LOCAL_HEADER_BYTES
        at += sum(int.from_bytes(data[place : place + 2], "little") for place in (at - 4, at - 2))
        arrays[member.filename.removesuffix(".npy")] = _view(data[at : at + member.file_size])
    return arrays


def _view(member: memoryview) -> npt.NDArray[Any]:
    head = io.BytesIO(member[:4096])
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, in_columns, dtype = read(head)
    except (SyntaxError, TokenError) as error:
        raise ValueError(f"a header that is none: {error}") from error
    if dtype.hasobject or in_columns:
        raise ValueError(f"an array of {dtype}")
    flat = np.frombuffer(member, dtype=dtype, offset=head.tell())
    return flat.reshape(shape)
