"""Both ways through the records of a kind, over lists of every sort: no record is lost or comes twice."""

import threading
from collections import Counter
from itertools import islice
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot import paging
from connectors.hubspot.client import Flight
from tests.support.hubspot import unhurried

TOKENS = ("last", "next", "offset", "opaque", "shuffled")


class List:
    """A list of records with some kind of token, as an `Api` serves it."""

    def __init__(self, ids, tokens, size):
        self.ids, self.tokens, self.size, self.calls = ids, tokens, size, 0
        self.settings = SimpleNamespace(concurrency=3)
        self._lock = threading.Lock()

    def place(self, name, **_):
        return name

    def flight(self):
        return Flight(3, threading.Event())

    def search(self, _kind, _body):
        top = [{"id": str(max(self.ids, default=0))}] if self.ids else []
        return {"total": len(self.ids), "results": top}

    def get(self, _where, query):
        with self._lock:
            self.calls += 1
        after = dict(query).get("after", "")
        start = self._start(after)
        page = self.ids[start : start + self.size]
        answer = {"results": [{"id": str(record_id)} for record_id in page]}
        if start + self.size < len(self.ids):
            answer["paging"] = {"next": {"after": self._token(start + self.size)}}
        return answer

    def _token(self, place):
        return {
            "last": str(self.ids[place - 1]),
            "next": str(self.ids[place]),
            "offset": str(place),
            "opaque": f"t{place}",
            "shuffled": str(self.ids[place - 1]),
        }[self.tokens]

    def _start(self, after):
        if not after:
            return 0
        if self.tokens == "shuffled":
            return self.ids.index(int(after)) + 1 if int(after) in self.ids else 0
        if self.tokens == "opaque":
            return int(after[1:])
        if self.tokens == "offset":
            return int(after)
        reached = (
            (lambda record_id: record_id > int(after))
            if self.tokens == "last"
            else (lambda record_id: record_id >= int(after))
        )
        return next((place for place, record_id in enumerate(self.ids) if reached(record_id)), len(self.ids))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Small pages; the tests change them at will, and they are put back."""
    monkeypatch.setattr(paging, "WORTH_SPLITTING", 5)
    monkeypatch.setattr(paging, "FEWEST_PAGES", 1)
    monkeypatch.setattr(paging, "LIST_PAGE", 5)
    monkeypatch.setattr(paging, "SEARCH_PAGE", 5)


id_lists = st.lists(st.integers(1, 60) | st.integers(10**11, 10**11 + 300), unique=True, max_size=80).map(sorted)


@unhurried
@given(ids=id_lists, tokens=st.sampled_from(TOKENS), size=st.integers(2, 9), data=st.data())
def test_a_walk_finds_every_record_whatever_the_tokens_are(ids, tokens, size, data):
    if tokens == "shuffled":
        ids = data.draw(st.permutations(ids))
    paging.LIST_PAGE = size
    found = Counter(
        record["id"]
        for records, _ in paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []))
        for record in records
    )
    assert set(found) == {str(record_id) for record_id in ids}


@unhurried
@given(
    ids=id_lists, tokens=st.sampled_from(("last", "next", "opaque")), size=st.integers(2, 9), stop=st.integers(1, 12)
)
def test_a_walk_goes_on_from_any_of_its_positions(ids, tokens, size, stop):
    paging.LIST_PAGE = size
    found, position = [], None
    pages = paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []))
    for records, where in islice(pages, stop):
        found += [record["id"] for record in records]
        position = where
    pages.close()
    rest = paging.whole_list(paging.Listing(List(ids, tokens, size), "x", []), position)
    found += [record["id"] for records, _ in rest for record in records]
    assert sorted(map(int, found)) == ids


class Index:
    """A search that compares ids as numbers or as text, or forgets to; records vanish between its pages."""

    def __init__(self, ids, as_text=False, vanishing=()):
        self.key = str if as_text else int
        self.ids = sorted(ids, key=int)
        self.vanishing, self.compares_numbers = list(vanishing), None

    def search(self, _kind, body):
        left = self.ids
        for each in body["filterGroups"][0]["filters"]:
            if each["propertyName"] == "hs_object_id":
                left = [record_id for record_id in left if self._fits(record_id, each)]
        start = int(body.get("after", 0))
        page = left[start : start + paging.SEARCH_PAGE]
        answer = {"total": len(left), "results": [{"id": record_id, "properties": {}} for record_id in page]}
        if start + paging.SEARCH_PAGE < len(left):
            answer["paging"] = {"next": {"after": str(start + paging.SEARCH_PAGE)}}
        if self.vanishing and body["limit"] == paging.SEARCH_PAGE:
            self.ids = [record_id for record_id in self.ids if record_id != self.vanishing[0]]
            del self.vanishing[0]
        return answer

    def _fits(self, record_id, condition):
        return (
            record_id in condition["values"]
            if "values" in condition
            else self.key(record_id) > self.key(condition["value"])
        )


@unhurried
@given(ids=st.sets(st.integers(1, 1_500), max_size=60), size=st.integers(1, 7), as_text=st.booleans())
def test_a_window_is_whole_or_says_that_it_is_not(ids, size, as_text):
    paging.SEARCH_PAGE = size
    ids = {str(record_id) for record_id in ids}
    found = []
    try:
        for records, _ in paging.Window(Index(ids, as_text), "x", "changed", 0, []).pages():
            found += [record["id"] for record in records]
    except paging.Skipping:
        assert as_text or not any(record_id[0] < "9" and len(record_id) > 1 for record_id in found)
        return
    assert set(found) == ids


@unhurried
@given(ids=st.sets(st.integers(10, 1_500), min_size=20, max_size=60), data=st.data())
def test_records_that_vanish_take_nobody_with_them(ids, data):
    paging.SEARCH_PAGE = 5
    ids = {str(record_id) for record_id in ids}
    vanishing = data.draw(st.lists(st.sampled_from(sorted(ids)), unique=True, max_size=3))
    window = paging.Window(Index(ids, vanishing=vanishing), "x", "changed", 0, [])
    try:
        found = {record["id"] for records, _ in window.pages() for record in records}
    except paging.Skipping:
        assert vanishing  # those that would have told how ids are compared: the whole list is read instead
        return
    assert ids - set(vanishing) <= found


def test_a_window_of_an_empty_portal():
    assert list(paging.Window(Index([]), "x", "changed", 0, []).pages()) == []
