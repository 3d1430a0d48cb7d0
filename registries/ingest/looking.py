"""Looking at files once more. Run as a program it does so for another process, and starts in 10 ms: it imports little.

Workers read small files in less time than the one who registers them needs for a look at each, which takes the lock of
the interpreter; asked of a process beside it, ten thousand looks cost some milliseconds.
"""

from __future__ import annotations

import os
import sys
from array import array

TYPE_CHECKING = False  # as typing has it, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

__all__ = ["ask", "told", "written_to"]


def written_to(
    paths: Sequence[str | bytes], sizes: Sequence[int], mtimes: Sequence[int], ctimes: Sequence[int]
) -> list[int]:
    """Return the rows of files that are gone, or have another size or other times (in ns) than when they were read."""
    rows, stat = list[int](), os.stat
    for row, path, size, mtime, ctime in zip(range(len(paths)), paths, sizes, mtimes, ctimes, strict=True):
        try:
            now = stat(path)
        except OSError:  # gone, or out of reach: told as what is not held
            rows.append(row)
            continue
        if now.st_mtime_ns != mtime or now.st_ctime_ns != ctime or now.st_size != size:
            rows.append(row)
    return rows


def ask(
    pipe: BinaryIO, paths: Sequence[str], sizes: Sequence[int], mtimes: Sequence[int], ctimes: Sequence[int]
) -> None:
    """Send a question: how many files, how many bytes their names take, the names, and their numbers."""
    names = os.fsencode("\0".join(paths))
    numbers = [array("q", column).tobytes() for column in ((len(paths), len(names)), sizes, mtimes, ctimes)]
    pipe.write(b"".join([numbers[0], names, *numbers[1:]]))
    pipe.flush()


def told(pipe: BinaryIO) -> list[int] | None:
    """Return an answer, rows after how many there are; None where there is none."""
    count = _numbers(pipe, 1)
    rows = _numbers(pipe, count[0]) if count else None
    return None if rows is None else rows.tolist()


def _numbers(pipe: BinaryIO, count: int) -> array[int] | None:
    found = array("q")
    data = pipe.read(count * found.itemsize)
    if len(data) < count * found.itemsize:
        return None
    found.frombytes(data)
    return found


def _serve(given: BinaryIO, answers: BinaryIO) -> None:
    while (asked := _numbers(given, 2)) is not None:
        count, length = asked
        paths = given.read(length).split(b"\0")
        columns = [_numbers(given, count) for _ in range(3)]
        sizes, mtimes, ctimes = (column if column is not None else array("q") for column in columns)
        rows = written_to(paths, sizes, mtimes, ctimes)
        answers.write(array("q", [len(rows), *rows]).tobytes())
        answers.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
