"""Changes the code in small ways and counts how many of the changes a test notices; `make mutants` runs this.

Of each part a sample of mutants, which are mutmut's, is drawn by seed. Prints the score of each part and the survivors
as diffs, and fails where a part is below 90 %.

mutmut only makes the mutants. Its own run looks for every test that reaches a function and plays them in the order of a
set: which tests follow each other differs from run to run, and one mutant costs a minute of tests that it has nothing
to do with. Here each part has its tests, the ones that know it best first.
"""

import argparse
import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from mutmut import __main__ as mutmut

ENOUGH = 0.9
AT_MOST = 600
"""Seconds for which the tests may run with one mutant: one that never ends is noticed."""

CORE = ["core/test_cycle.py", "core/test_overrides.py", "core/test_approval.py"]
TESTS = {
    "crmsync/routing": [
        "routing",
        "core/test_routing.py",
        "core/test_routing_run.py",
        "core/test_lifecycle_run.py",
        "core/test_cycle.py",
        "core/test_queries.py",
    ],
    "crmsync/identity": ["core/test_identity.py", "core/test_cycle.py", "routing/test_accounts.py", "store"],
    "crmsync/planning/changes.py": ["core/test_plan.py", *CORE],
    "crmsync/planning/guard.py": ["core/test_plan.py", *CORE],
    "crmsync/planning/approval.py": ["core/test_approval.py", "core/test_cycle.py"],
    "crmsync/planning/builder.py": ["core/test_queries.py", *CORE],
    "crmsync/planning/person_plan.py": ["core/test_queries.py", *CORE],
    "crmsync/planning/scored_people.py": ["core/test_queries.py", *CORE],
    "crmsync/planning/apply.py": ["core/test_give_back.py", *CORE],
    "crmsync/store/contacts.py": ["store", "core/test_full_pull.py", "core/test_cycle.py", "core/test_erasure.py"],
    "crmsync/store/activities.py": ["store", "core/test_full_pull.py", "core/test_cycle.py"],
    "crmsync/store/journal.py": ["store", "core/test_queries.py", *CORE],
    "crmsync/scoring": ["scoring", "core/test_lint.py"],
}
"""The tests of each part. Those of the laws draw their examples and take long, PostgreSQL does what SQLite does."""

OPTIONS = ["-x", "-q", "--rootdir=.", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout", "60"]
QUICK = ["-k", "not postgresql and not law"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files or folders, such as crmsync/routing; all that are configured")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each part; 0 for every one")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    drawn = _drawn(given.modules, given.sample, given.seed)
    os.chdir("mutants")
    wanted = list(dict.fromkeys(path for part in drawn for path in _tests_of(part)))
    pytest.main([*OPTIONS, *QUICK, "--collect-only", "-qqq", *wanted])  # what is imported now need not be each time
    if _exit_code("", wanted, aloud=True) != 0:
        sys.exit("NOT MEASURED: the tests fail without any mutant")
    low = [part for part, names in drawn.items() if not _is_enough(part, names)]
    return int(bool(low))


def _drawn(modules: Sequence[str], count: int, seed: int) -> dict[str, list[str]]:
    """The names of the mutants to try, by part."""
    shutil.rmtree("mutants", ignore_errors=True)  # mutmut leaves a file as it is that the settings name since
    Path("mutants").mkdir()
    mutmut.set_mutant_under_test("mutant_generation")
    with contextlib.redirect_stdout(io.StringIO()):  # it names every file of the package
        mutmut.copy_src_dir()
        mutmut.copy_also_copy_files()
        mutmut.setup_source_paths()
        mutmut.create_mutants(1)
    found: dict[str, list[str]] = {part: [] for part in TESTS}
    for path, data in mutmut.collect_source_file_mutation_data(mutant_names=())[1].items():
        if not modules or path.startswith(tuple(modules)):
            found[next(part for part in TESTS if path.startswith(part))] += sorted(data.exit_code_by_key)
    return {
        part: random.Random(seed).sample(names, min(count or len(names), len(names)))
        for part, names in found.items()
        if names
    }


def _tests_of(part: str) -> list[str]:
    return [f"tests/{name}" for name in TESTS[part]]


def _is_enough(part: str, names: Sequence[str]) -> bool:
    alive = []
    for name in names:
        begun = time.monotonic()
        lives = _exit_code(name, _tests_of(part)) == 0
        print(f"{'SURVIVED' if lives else 'killed'} {name} ({time.monotonic() - begun:.0f} s)", flush=True)
        if lives:
            alive.append(name)
            subprocess.run([f"{Path(sys.executable).parent}/mutmut", "show", name], cwd="..", check=False)
    score = 1 - len(alive) / len(names)
    print(f"{part}: {len(names) - len(alive)} of {len(names)} killed ({score:.0%})", flush=True)
    return score >= ENOUGH


def _exit_code(mutant: str, tests: Sequence[str], *, aloud: bool = False) -> int:
    """How pytest ends with one mutant, or with none. A process of its own: what a mutant spoils goes with it."""
    sys.stdout.flush()
    if not (child := os.fork()):
        if not aloud:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
        mutmut.set_mutant_under_test(mutant)
        os._exit(int(pytest.main([*OPTIONS, *QUICK, *tests])))
    until = time.monotonic() + AT_MOST
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(ended[1])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"NOT MEASURED: pytest found nothing to run for {mutant or 'the tests'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
