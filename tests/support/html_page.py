"""A page of a report as a strict reader sees it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """A page read strictly: every element that opens is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += f" {data}"


def find_calls(text, page):
    """Whatever of a page would run something, or ask for anything beyond the page itself."""
    found = sorted({"script", "link", "iframe", "img", "object", "use"} & set(page.tags))
    for tag, name, value in page.attributes:
        is_address = name in ("href", "src", "xlink:href", "action")
        if name.startswith("on") or (is_address and not value.startswith("#")):
            found.append((tag, name, value))
    addresses = set(re.findall(r"https?://[^\s\"'<)]*", text))
    found += sorted(addresses - {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"})
    return found + [each for each in ("url(", "@import") if each in text]
