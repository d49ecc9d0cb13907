"""Changes the code in small ways and counts how many of the changes a test notices; `make mutants` runs this.

A sample of mutants, which are mutmut's, is drawn by seed, evenly over the modules. Prints the score of each module and
the survivors as diffs, and fails below 90 %.
"""

import argparse
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from mutmut import __main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData

ENOUGH = 0.9
KILLED, SURVIVED, NO_TEST = 1, 0, 33


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", help="files to change, such as crmsync/planning/guard.py; all that are configured"
    )
    parser.add_argument("--sample", type=int, default=200, help="mutants in all; 0 for every one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", default="2")
    given = parser.parse_args()
    names = _sampled(given.modules, given.sample, given.seed)
    subprocess.run(
        [f"{Path(sys.executable).parent}/mutmut", "run", "--max-children", given.processes, *names], check=True
    )
    return _report(names)


def _generated() -> dict[str, SourceFileMutationData]:
    """Every mutant of the configured modules, by module."""
    Path("mutants").mkdir(exist_ok=True)
    mutmut.set_mutant_under_test("mutant_generation")
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)
    return mutmut.collect_source_file_mutation_data(mutant_names=())[1]


def _sampled(modules: list[str], count: int, seed: int) -> list[str]:
    found = {path: sorted(data.exit_code_by_key) for path, data in _generated().items() if data.exit_code_by_key}
    wanted = {path: names for path, names in found.items() if not modules or path in modules}
    each = -(-count // len(wanted)) if count else sys.maxsize
    return [name for names in wanted.values() for name in random.Random(seed).sample(names, min(each, len(names)))]


def _report(names: list[str]) -> int:
    drawn, results = set(names), defaultdict(dict)
    for path, data in mutmut.collect_source_file_mutation_data(mutant_names=())[1].items():
        results[path] = {name: code for name, code in data.exit_code_by_key.items() if name in drawn}
    low = False
    for path, codes in sorted(results.items()):
        if not codes:
            continue
        alive = [name for name, code in codes.items() if code in (SURVIVED, NO_TEST)]
        for name in alive:
            subprocess.run([f"{Path(sys.executable).parent}/mutmut", "show", name], check=False)
        score = 1 - len(alive) / len(codes)
        low |= score < ENOUGH
        print(f"{path}: {len(codes) - len(alive)} of {len(codes)} killed ({score:.0%})")
    return int(low)


if __name__ == "__main__":
    sys.exit(main())
