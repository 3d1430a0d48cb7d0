"""The suite that every format must pass.

Subclass :class:`FormatConformance` in a test module, fill in what is abstract, and pytest runs the rest::

    class TestLoom(FormatConformance):
        format = LoomFormat()

        def objects(self):
            return [make_a_small_one()]

        def same(self, left, right):
            return left.equals(right)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from formats.base import Description, Format
from lakehouse.errors import InvalidFile, LakehouseError, NotFound, UnknownFormat

__all__ = ["FormatConformance"]

_ODD_NAMES = ("with blank", "ünïcode", "glob[1]*?", "a:b", "per%20cent", "hash#tag", "key=value")


class FormatConformance:
    """What is true of every format. Tests take pytest's ``tmp_path``."""

    format: ClassVar[Format]
    """The format under test."""

    rejects_foreign_bytes: ClassVar[bool] = True
    """Whether bytes of another kind are refused; not so where anything is valid."""

    detects_truncation: ClassVar[bool] = True
    """Whether a file that was cut in half is refused; not so for plain text, nor for a folder of many files."""

    equal_bytes: ClassVar[bool] = True
    """Whether equal objects give equal bytes; not so where names inside a folder hold times."""

    odd_names: ClassVar[tuple[str, ...]] = _ODD_NAMES
    """Names of files and folders that are only names; leave out those that a library cannot take."""

    def objects(self) -> Sequence[Any]:
        """Return a few small objects that the format writes."""
        raise NotImplementedError

    def same(self, left: Any, right: Any) -> bool:
        """Tell whether a written object (left) came back as ``load`` returned it (right)."""
        raise NotImplementedError

    def snapshot(self, obj: Any) -> Any:
        """Return a copy of an object that shows whether the object was changed."""
        return obj.copy() if hasattr(obj, "copy") else obj

    def test_declares_a_name_a_kind_and_suffixes(self) -> None:
        """Name and suffixes are lower case."""
        assert self.format.name
        assert self.format.name == self.format.name.lower()
        assert self.format.kind
        assert all(s.startswith(".") and s == s.lower() for s in self.format.suffixes)

    def test_what_is_written_comes_back(self, tmp_path: Path) -> None:
        """Every suffix round-trips every object."""
        for number, obj, suffix in self._cases():
            path = self._written(obj, tmp_path / f"{number}{suffix}")
            assert self.same(obj, self.format.load(path)), f"object {number} as {suffix}"

    def test_dumped_bytes_are_the_written_bytes(self, tmp_path: Path) -> None:
        """Both ways of serialising lead to one content hash."""
        for number, obj, suffix in self._cases():
            dumped = self.format.dump(obj, suffix=suffix or None)
            if dumped is not None:
                assert dumped == _bytes_of(self._written(obj, tmp_path / f"{number}{suffix}"))

    def test_writing_twice_gives_equal_bytes(self, tmp_path: Path) -> None:
        """Or saving again would store a second object."""
        for number, obj, suffix in self._cases() if self.equal_bytes else ():
            first = _bytes_of(self._written(obj, tmp_path / f"{number}a{suffix}"))
            assert first == _bytes_of(self._written(obj, tmp_path / f"{number}b{suffix}"))

    def test_writing_leaves_the_object_as_it_was(self, tmp_path: Path) -> None:
        """The caller goes on working with it."""
        for number, obj, suffix in self._cases():
            before = self.snapshot(obj)
            self._written(obj, tmp_path / f"{number}{suffix}")
            assert self.same(before, obj) or before is obj

    def test_describe_tells_the_kind_and_the_rows(self, tmp_path: Path) -> None:
        """And leaves the file alone."""
        for number, obj, suffix in self._cases():
            path = self._written(obj, tmp_path / f"{number}{suffix}")
            before = _bytes_of(path)
            described = self.format.describe(path)
            assert isinstance(described, Description)
            assert (described.format, described.kind) == (self.format.name, self.format.kind)
            if described.shape is not None:
                assert described.n_rows == described.shape[0] == len(self.format.load(path))
            assert _bytes_of(path) == before

    def test_open_returns_something_lazy(self, tmp_path: Path) -> None:
        """It opens what describe describes."""
        for number, obj, suffix in self._cases():
            opened = self.format.open(self._written(obj, tmp_path / f"{number}{suffix}"))
            assert opened is not None
            if hasattr(opened, "__exit__"):
                with opened:
                    pass

    def test_odd_file_names_are_plain_names(self, tmp_path: Path) -> None:
        """No glob, URL or partition is read into a name."""
        number, obj, suffix = next(self._cases())
        for name in self.odd_names:
            folder = tmp_path / name
            folder.mkdir()
            path = self._written(obj, folder / f"{name}{number}{suffix}")
            assert self.same(obj, self.format.load(path))
            described, table = self.format.describe(path), self.format.table(path)
            if table is not None:
                assert table.schema.names == [column.name for column in described.columns]

    def test_foreign_bytes_are_refused(self, tmp_path: Path) -> None:
        """With a typed error, by all that read."""
        if self.rejects_foreign_bytes:
            _, _, suffix = next(self._cases())
            path = tmp_path / f"x{suffix}"
            path.write_bytes(bytes(range(256)) * 20)
            self._refused(path, InvalidFile)

    def test_a_file_cut_in_half_is_refused(self, tmp_path: Path) -> None:
        """With a typed error, by all that read."""
        if self.detects_truncation:
            number, obj, suffix = next(self._cases())
            path = self._written(obj, tmp_path / f"{number}{suffix}")
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            self._refused(path, InvalidFile)

    def test_a_missing_file_is_not_found(self, tmp_path: Path) -> None:
        """By all that read."""
        _, _, suffix = next(self._cases())
        self._refused(tmp_path / f"missing{suffix}", NotFound)

    def test_a_folder_that_lacks_everything_is_refused(self, tmp_path: Path) -> None:
        """With a typed error, by all that read."""
        number, obj, suffix = next(self._cases())
        path = self._written(obj, tmp_path / f"{number}{suffix}")
        if path.is_dir():
            for found in path.rglob("*"):
                if found.is_file():
                    found.unlink()
            self._refused(path, InvalidFile)

    def test_an_unknown_object_is_refused(self, tmp_path: Path) -> None:
        """Before any file is made."""
        path = tmp_path / "x"
        assert not self.format.accepts(object())
        for call in (lambda: self.format.write(object(), path), lambda: self.format.dump(object())):
            assert isinstance(_error(call), UnknownFormat)
        assert not path.exists()

    def _cases(self) -> Iterator[tuple[int, Any, str]]:
        for suffix in self.format.suffixes or ("",):
            for number, obj in enumerate(self.objects()):
                yield number, obj, suffix

    def _written(self, obj: Any, path: Path) -> Path:
        self.format.write(obj, path)
        return path

    def _refused(self, path: Path, kind: type[LakehouseError]) -> None:
        for read in (self.format.describe, self.format.load, self.format.open):
            error = _error(lambda read=read: read(path))
            assert isinstance(error, kind), f"{read.__name__} raised {error!r}"
            assert path.name[:20] in str(error)


def _bytes_of(path: Path) -> bytes | dict[str, bytes]:
    """Return the bytes of a file, or those of a folder's files by name."""
    if path.is_file():
        return path.read_bytes()
    return {found.relative_to(path).as_posix(): found.read_bytes() for found in path.rglob("*") if found.is_file()}


def _error(call: Any) -> BaseException | None:
    try:
        call()
    except LakehouseError as error:
        return error
    return None
