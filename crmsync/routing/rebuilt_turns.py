"""Whose turn it was, as far as the CRMs tell it: who owns whom, where the state that had counted is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import lcm

from crmsync.config.deciding import ACCOUNT_OWNER, COLLEAGUE_OWNER, OwnerPool, Route
from crmsync.identity.matching import normal_email
from crmsync.model import Standing


class TurnCounter:
    """Counts people as turns of who owns them; the order in which they come decides nothing."""

    def __init__(self, pools: Sequence[OwnerPool]) -> None:
        self.pools = {pool.name: pool for pool in pools}
        self.members = {pool.name: {normal_email(each.email) for each in pool.members} for pool in pools}
        self.counts: dict[str, dict[str, Standing]] = {}
        self.largest: dict[str, int] = {}

    def add(
        self,
        routes: Sequence[Route],
        owner: str,
        worth: Mapping[str, int],
        account_owners: Collection[str],
        colleague_owners: Collection[str],
    ) -> None:
        """Count one person with the routes that match now; `owner` and the others are addresses, `worth` by pool."""
        pool = self._find_pool(routes, owner, {ACCOUNT_OWNER: account_owners, COLLEAGUE_OWNER: colleague_owners})
        if pool is not None:
            had = self.counts.setdefault(pool, {}).get(owner, Standing())
            counts = worth.get(pool, 0)
            self.counts[pool][owner] = Standing(had.turns + 1, had.value + counts)
            self.largest[pool] = max(self.largest.get(pool, 0), counts)

    def _find_pool(self, routes: Sequence[Route], owner: str, known: Mapping[str, Collection[str]]) -> str | None:
        """The pool whose turn a person may have been; `None` where their owner came to them in another way."""
        for route in routes:
            if route.to in known and owner not in known[route.to]:
                continue
            if route.to not in self.pools:
                return None
            reached = (route.to, self.pools[route.to].fallback or "")
            return next((name for name in reached if owner in self.members.get(name, ())), None)
        return None

    def standings(self) -> dict[str, dict[str, Standing]]:
        """The standings of each pool of which somebody owns people."""
        return {
            name: _limit_spread(self.pools[name], counts, self.largest[name]) for name, counts in self.counts.items()
        }


def _limit_spread(pool: OwnerPool, counts: Mapping[str, Standing], largest: int) -> dict[str, Standing]:
    """The standings of everybody, at most one turn, and the worth of one person, away from the member in the middle.

    Taking turns leaves no more between members who are always there. What is more comes of people who were theirs
    before or left the stages since, and must neither flood anybody nor keep them without new people.
    """
    whole = lcm(*(each.weight for each in pool.members))
    shares = {normal_email(each.email): whole // each.weight for each in pool.members}
    had = {address: counts.get(address, Standing()) for address in shares}
    turns = _middle([had[address].turns * share for address, share in shares.items()])
    value = _middle([had[address].value * share for address, share in shares.items()])
    return {
        address: Standing(
            _clip(had[address].turns, turns, share, 1), _clip(had[address].value, value, share, max(largest, 0))
        )
        for address, share in shares.items()
    }


def _middle(counted: Sequence[int]) -> int:
    return sorted(counted)[len(counted) // 2]


def _clip(own: int, middle: int, share: int, bound: int) -> int:
    return min(max(own, -(-middle // share) - bound), middle // share + bound)
