"""Result files of bulk jobs: saved as they come over the line, read row by row, so that memory stays flat."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

import requests

from connectors.http import save_body
from connectors.salesforce.errors import CRM
from crmsync.connector import Stop
from crmsync.errors import Transient

LONGEST_LINE = 16_000_000
"""Characters of a line; a record has at most 400,000."""

# Rich-text cells are longer than the 131,072 characters that csv allows (estuary/connectors#2609).
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


class ResultFile:
    """The CSV file of an answer, in a temporary file that is gone when it is closed, compressed as Salesforce sent it.

    Raises `Transient` where it does not arrive whole, and `Unavailable` where there is no room for it.
    """

    def __init__(self, answer: requests.Response, stop: Stop) -> None:
        self.headers = answer.headers
        coding = answer.headers.get("Content-Encoding", "").strip().lower()
        self._is_gzip = coding == "gzip"
        if coding not in ("", "identity", "gzip"):
            answer.close()
            raise Transient("Salesforce sent a compressed file of an unexpected kind")
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  it outlives this call
        try:
            save_body(CRM, answer.raw, self._file, stop)
        except BaseException:
            self.close()
            answer.close()
            raise

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def rows(self) -> Iterator[list[str]]:
        """The rows from the beginning, the header first. Raises `Transient` where it is no CSV file."""
        self._file.seek(0)
        body = gzip.GzipFile(fileobj=self._file) if self._is_gzip else self._file
        # With `newline=""` line breaks inside of cells stay as they are (R25).
        lines = io.TextIOWrapper(body, encoding="utf-8-sig", errors="replace", newline="")
        try:
            yield from csv.reader(_whole_lines(lines))
        except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile):
            raise Transient("Salesforce sent a CSV file that cannot be read") from None
        finally:
            lines.detach()  # or the file would be closed with it


def _whole_lines(lines: io.TextIOWrapper) -> Iterable[str]:
    while line := lines.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise csv.Error("endless line")
        yield line.replace("\0", "")
