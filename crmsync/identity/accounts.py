"""Which company each person counts for: one account for each, from the companies and domains of their records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class AccountGroups(NamedTuple):
    """The account of each person.

    `people` (k,) are the ids of those who have one, ascending, `account` (k,) its number, from 0 on. `of_company` (c,)
    is the account of each company, -1 where nobody counts for it; `order` (c,) are the companies, those first that say
    how an account is called. `domain` (a,) is the domain of each account, -1 for none, `of_domain` (d,) the account of
    each domain, -1 where nobody counts for it.
    """

    people: Numbers
    account: Numbers
    of_company: Numbers
    order: Numbers
    domain: Numbers
    of_domain: Numbers


def group_people(person: Numbers, company: Numbers, domain: Numbers, site: Numbers, domains: int) -> AccountGroups:
    """Put the people of some records into accounts.

    Of each record (n,) `person` is the id of its person, `company` the place of its company among all (-1: none),
    `domain` the number of the domain of its address (-1: none); `site` (c,) is the domain of each company's website.
    Companies and domains are numbered in an order that depends on nothing but what they are.

    Companies of one domain are one account, and so are two companies where more than half of the people of one are
    people of the other, too. The domain of an address is that of the company with this website; without such a company
    it goes with the company that more than half of its people with a company belong to. Somebody of several accounts
    counts for that of their company, one with a website first, then the one with the most records.
    """
    companies, linked, mailed = len(site), company >= 0, domain >= 0
    place = np.where(site >= 0, site, domains + np.arange(companies))
    is_company = np.zeros(domains + companies, dtype=bool)
    is_company[place] = True
    records = np.bincount(company[linked], minlength=companies)
    order = np.lexsort((np.arange(companies), -records, site < 0))
    rank = _places(order)
    by_mail = np.bincount(domain[mailed], minlength=domains)
    mail_rank = companies + _places(np.lexsort((np.arange(domains), -by_mail)))
    settled = np.unique(person[linked][site[company[linked]] >= 0])
    # Whose company has a website belongs there, whatever their address.
    mailed &= ~(np.append(is_company, False)[domain] & np.isin(person, settled))
    who = np.concatenate([person[linked], person[mailed]])
    where = np.concatenate([place[company[linked]], domain[mailed]])
    preference = np.concatenate([rank[company[linked]], mail_rank[domain[mailed]]])
    joined = _join_places(who, where, is_company)
    first = np.lexsort((preference, who))
    people, starts = np.unique(who[first], return_index=True)
    known, account = np.unique(joined[where[first][starts]], return_inverse=True)
    return AccountGroups(
        people,
        account,
        _number_of(joined[place], known),
        order,
        _choose_domains(joined, known, site[order], order, place, domains, by_mail),
        _number_of(joined[:domains], known),
    )


def _places(order: Numbers) -> Numbers:
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places


def _number_of(joined: Numbers, known: Numbers) -> Numbers:
    """The places of some numbers among the known ones (ascending), -1 for those that are not there."""
    if not len(known):
        return np.full(len(joined), -1, dtype=np.int64)
    found = np.minimum(np.searchsorted(known, joined), len(known) - 1)
    return np.where(known[found] == joined, found, -1)


def _join_places(who: Numbers, where: Numbers, is_company: NDArray[np.bool_]) -> Numbers:
    """For each place (a domain, or a company without one) the lowest of those that are one account with it."""
    wide = max(len(is_company), 1)
    pairs = np.sort(wide * np.unique(who, return_inverse=True)[1] + where)
    # Many times quicker than `np.unique`.
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]]
    who, where = pairs // wide, pairs % wide
    size = np.bincount(where, minlength=wide)
    employed = np.bincount(who[is_company[where]], minlength=int(who.max(initial=-1)) + 1) > 0
    # Of an address that no company has for its website those count who are of some company.
    whole = np.where(np.append(is_company, False)[:wide], size, np.bincount(where[employed[who]], minlength=wide))
    ones, others = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for step in range(1, int(np.bincount(who).max(initial=1))):
        same = np.flatnonzero(who[:-step] == who[step:])
        ones += [where[same], where[same + step]]
        others += [where[same + step], where[same]]
    shared, many = np.unique(np.concatenate(ones) * wide + np.concatenate(others), return_counts=True)
    one, other = shared // wide, shared % wide
    one, other = (each[is_company[other] & (2 * many > whole[one])] for each in (one, other))
    label = np.arange(len(is_company))
    while len(one) and (label[one] != label[other]).any():
        lowest = np.minimum(label[one], label[other])
        np.minimum.at(label, label[one], lowest)
        np.minimum.at(label, label[other], lowest)
        label = label[label]
    while (label != label[label]).any():
        label = label[label]
    return label


def _choose_domains(
    joined: Numbers, known: Numbers, sites: Numbers, order: Numbers, place: Numbers, domains: int, by_mail: Numbers
) -> Numbers:
    """Of each account the website of its first company that has one, else the domain of the most addresses."""
    chosen = np.full(len(known), -1, dtype=np.int64)
    mails = np.lexsort((np.arange(domains), -by_mail))
    # The last one that is written stays, so that the best comes last.
    for numbers, values in ((joined[:domains][mails], mails), (joined[place][order][sites >= 0], sites[sites >= 0])):
        at = _number_of(numbers, known)[::-1]
        chosen[at[at >= 0]] = values[::-1][at >= 0]
    return chosen
