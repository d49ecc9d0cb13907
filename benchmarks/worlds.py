"""How close a learned card comes to the hidden truth in worlds of leadforge: its AUC on later people ÷ the truth's.

    python benchmarks/worlds.py --worlds 15 --leads 5000

Ends with exit code 1 where the ratio of a world is below 0.97.
"""

from __future__ import annotations

import sys

sys.path[:] = [each for each in sys.path if not each.endswith("benchmarks")]  # one file there is called like a client

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.learning import later_auc, learn
from tests.support.worlds import make_world, write_world_config

ENOUGH = 0.97


def main() -> int:
    """Learn in each world and print how it went."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--worlds", type=int, default=15)
    wanted.add_argument("--leads", type=int, default=5000)
    given = wanted.parse_args()
    ratios = []
    for seed in range(1, given.worlds + 1):
        world = make_world(seed, given.leads)
        won = [each["outcome"] == "won" for each in world.people]
        truth = later_auc([world.truth[each["id"]] for each in world.people], won)
        with TemporaryDirectory() as folder:
            found = learn(Path(folder), write_world_config(), world.people).document
        ratios.append(found["auc_learned"] / truth)
        said = f"truth {truth:.3f}, today's card {found['auc_now']:.3f}, learned {found['auc_learned']:.3f}"
        print(f"world {seed:>2}: {said}, ratio {ratios[-1]:.3f}, {found['verdict']}", flush=True)
    print(f"{sum(each >= ENOUGH for each in ratios)} of {len(ratios)} worlds reach {ENOUGH} of the truth's AUC")
    return 0 if min(ratios) >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
