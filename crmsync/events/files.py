"""Events in a folder of files: what is new, each line once, also while the files are being written."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from crmsync.config.events import EventSource
from crmsync.errors import Unavailable
from crmsync.events.rows import EventPage, PageBuilder

PAGE = 1_000
"""Lines that are stored together."""

LONGEST_LINE = 1_048_576
"""Bytes of a line; what is longer is no event."""

MOST_LINES = 50
"""Lines that a quoted value of a CSV file may go over: beyond that a quotation mark is missing."""

FIRST_BYTES = 4_096
"""By so much of what was read a file is known again."""


class _Place(NamedTuple):
    """How far a file was read: bytes and lines, a hash of its beginning, and when it was changed last.

    A last line that does not end (yet) is not counted in. `open_at` is the size of the file when one was seen (-1 for
    none), and `is_said` whether it was handed over or named all the same.
    """

    offset: int = 0
    lines: int = 0
    begin: str = ""
    changed: int = 0
    open_at: int = -1
    is_said: bool = False


class _Line(NamedTuple):
    """A line (in CSV, a record that may go over several): the number of its first, how many there are, where it ends,
    what it says or why it says nothing, and whether it ends at all.
    """

    number: int
    lines: int
    end: int
    values: Mapping[str, Any] | None = None
    why: str = ""
    is_whole: bool = True


def read_files(
    source: EventSource, folder: str, patterns: Sequence[str], cursor: str | None, now: datetime
) -> Iterator[EventPage]:
    """What came since the cursor, file by file in the order of their names.

    Raises `Unavailable` where the folder or a file cannot be read; what was handed over until then holds.
    """
    places = _read_cursor(cursor)
    names = list_files(source.name, folder, patterns)
    known = {name: place for name, place in places.items() if name in names}
    page, before = PageBuilder(source, now), _dump(places)
    closed: list[str] = []
    for name in names:
        try:
            for place in _read_file(page, Path(folder, name), name, known.get(name, _Place())):
                known[name] = place
                if page.read >= PAGE:
                    yield page.take(before := _dump(known))
        except FileNotFoundError:  # it went away since the folder was listed
            known.pop(name, None)
        except OSError as error:
            closed.append(f"{name} ({error.strerror})")
    if page.read or _dump(known) != before:
        yield page.take(_dump(known))
    if closed:
        raise Unavailable(source.name, f"files that cannot be read: {', '.join(closed)}; all others were read")


def list_files(source: str, folder: str, patterns: Sequence[str]) -> list[str]:
    """The names of the files, in order. Raises `Unavailable` where the folder cannot be read."""
    base = Path(folder)
    try:
        if not base.is_dir():
            raise Unavailable(source, f"there is no folder {folder}; create it, or correct folder in [[events]]")
        next(base.iterdir(), None)
        found = {path for pattern in patterns for path in base.glob(pattern) if path.is_file()}
    except OSError as error:
        raise Unavailable(source, f"the folder {folder} cannot be read ({error.strerror})") from None
    return sorted(path.relative_to(base).as_posix() for path in found)


def count_read_bytes(cursor: str | None) -> dict[str, int]:
    """How many bytes of each file were read."""
    return {name: place.offset for name, place in _read_cursor(cursor).items()}


def _read_cursor(cursor: str | None) -> dict[str, _Place]:
    return {name: _Place(*place) for name, place in orjson.loads(cursor or "{}").items()}


def _dump(places: Mapping[str, _Place]) -> str:
    return orjson.dumps({name: list(place) for name, place in places.items()}, option=orjson.OPT_SORT_KEYS).decode()


def _read_file(page: PageBuilder, path: Path, name: str, place: _Place) -> Iterator[_Place]:
    """Take in what is new in a file; how far it was read wherever a page is full, and at the end."""
    found = path.stat()
    size, changed = found.st_size, found.st_mtime_ns
    is_settled = place.open_at == size
    if changed == place.changed and (size == place.offset or (is_settled and place.is_said)):
        return
    with path.open("rb") as file:
        if place.offset > size or _hash_begin(file, place.offset) != (place.begin or _hash_begin(file, 0)):
            # Another file of this name: its events are known by their ids if they were read before.
            place, is_settled = _Place(), False
        offset, lines, open_at, is_said = place.offset, place.lines, -1, False
        is_csv = path.suffix == ".csv"
        for line in _read_csv(file, offset, lines, is_settled) if is_csv else _read_json(file, offset, lines):
            if not line.is_whole:
                open_at = size
                is_said = _add_open(page, f"{name} line {line.number}", line, is_csv, is_settled)
                break
            if line.why:
                page.refuse(f"{name} line {line.number}", line.why)
            elif line.values is not None:
                page.add(f"{name} line {line.number}", line.values)
            offset, lines = line.end, line.number + line.lines - 1
            if page.read >= PAGE:
                yield _Place(offset, lines, _hash_begin(file, offset))
        yield _Place(offset, lines, _hash_begin(file, offset), changed, open_at, is_said)


def _add_open(page: PageBuilder, what: str, line: _Line, is_csv: bool, is_settled: bool) -> bool:
    """Take in a last line that does not end, where it is all there; whether that was done, or it was named.

    A JSON object cannot be cut off and still be one. A CSV line can: it is taken once the file stopped growing.
    """
    if line.values is not None and (is_settled or not is_csv):
        page.add(what, line.values)
        return True
    if is_settled:
        page.refuse(what, "does not end")
    return is_settled


def _hash_begin(file: BinaryIO, offset: int) -> str:
    here = file.tell()
    file.seek(0)
    found = hashlib.sha256(file.read(min(offset, FIRST_BYTES))).hexdigest()[:16]
    file.seek(here)
    return found


TOO_LONG = f"is longer than {LONGEST_LINE:,} bytes"


def _next_line(file: BinaryIO) -> bytes | None:
    """The next line; `None` for one that is too long, which is passed over."""
    raw = file.readline(LONGEST_LINE)
    if len(raw) < LONGEST_LINE or raw.endswith(b"\n"):
        return raw
    while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass
    return None


def _read_json(file: BinaryIO, offset: int, lines: int) -> Iterator[_Line]:
    file.seek(offset)
    while (raw := _next_line(file)) != b"":
        lines += 1
        end = file.tell()
        if raw is None:
            yield _Line(lines, 1, end, why=TOO_LONG)
            continue
        text = raw.removeprefix(codecs.BOM_UTF8) if lines == 1 else raw
        values, why = _parse_json(text) if text.strip() else (None, "")
        yield _Line(lines, 1, end, values, why, raw.endswith(b"\n"))


def _parse_json(raw: bytes) -> tuple[Mapping[str, Any] | None, str]:
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, "is not JSON"
    return (values, "") if isinstance(values, dict) else (None, "is not a JSON object")


class _Record(NamedTuple):
    """The bytes of a record (`None` where they cannot be used, and `why`), over how many lines, and if it ends."""

    raw: bytes | None
    lines: int
    is_whole: bool
    why: str = ""


def _read_csv(file: BinaryIO, offset: int, lines: int, is_settled: bool) -> Iterator[_Line]:
    file.seek(0)
    first = (_next_line(file) or b"").removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    delimiter = max(",;\t|", key=first.count)
    file.seek(0)
    head = _next_record(file, delimiter, is_settled)
    text = (head.raw or b"").removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    header = [each.strip() for each in next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])]
    if not head.is_whole:
        return
    if not header or not all(header) or len(set(header)) < len(header):
        # Not passed over: nothing in the file can be read before this line is corrected.
        yield _Line(1, head.lines, file.tell(), why="does not name each column once")
        return
    if offset == 0:
        lines = head.lines
        yield _Line(1, head.lines, file.tell())
    else:
        file.seek(offset)
    while (record := _next_record(file, delimiter, is_settled)).raw != b"":
        values, why = (None, record.why) if record.raw is None else _parse_csv(record.raw, header, delimiter)
        yield _Line(lines + 1, record.lines, file.tell(), values, why, record.is_whole)
        lines += record.lines


def _next_record(file: BinaryIO, delimiter: str, is_settled: bool) -> _Record:
    """The next record of a CSV file: a line, and more of them while a quotation mark is open.

    One that is open at the end is being written, unless the file `is_settled`: then a mark is missing.
    """
    raw = _next_line(file)
    if raw is None:
        return _Record(None, 1, True, TOO_LONG)
    after, parts = file.tell(), [raw]
    while _is_open(parts, delimiter) and len(parts) < MOST_LINES:
        more = _next_line(file)
        if not more:
            break
        parts.append(more)
    if not _is_open(parts, delimiter):
        return _Record(b"".join(parts), len(parts), parts[-1].endswith(b"\n"))
    is_cut_off = not is_settled and len(parts) < MOST_LINES and file.read(1) == b""
    # The lines that follow are no part of it.
    file.seek(after)
    return _Record(None, 1, not is_cut_off, "has a quotation mark that is never closed")


def _is_open(parts: Sequence[bytes], delimiter: str) -> bool:
    """Whether a record of these lines ends inside of a quoted value."""
    if b'"' not in parts[0]:
        return False
    try:
        next(csv.reader([b"".join(parts).decode("utf-8", "replace")], delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        return str(error) == "unexpected end of data"
    return False


def _parse_csv(raw: bytes, header: Sequence[str], delimiter: str) -> tuple[Mapping[str, Any] | None, str]:
    if not raw.strip():
        return None, ""
    try:
        text = raw.decode("utf-8")
        values = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except UnicodeDecodeError:
        return None, "is not text in UTF-8"
    except csv.Error:
        return None, "is not CSV"
    if [each.strip() for each in values] == header:
        return None, ""
    if len(values) != len(header):
        return None, f"has {len(values):,} values; the first line names {len(header):,}"
    return {name: value for name, value in zip(header, values, strict=True) if value.strip()}, ""
