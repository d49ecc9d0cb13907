"""Changes the code in small ways and counts how many of the changes a test notices; `make mutants` runs this.

Of each part a sample of mutants, which are mutmut's, is drawn by seed. Prints the score of each part and the survivors
as diffs, and fails where a part is below 90 %.

mutmut only makes the mutants. Its own run plays the tests that reach a function in the order of a set: which tests
follow each other differs from run to run. Here each part has its tests. They are played once without a mutant, and all
must pass; a mutant then meets those that reached its function: the quickest first, the rest file by file.

Two kinds of mutants are not drawn, which only a mistake elsewhere could make noticed: those of `strict=True`, where two
lists that belong together would differ in length, and those of the names of each `failpoint`.
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import libcst as cst
import pytest
from mutmut import __main__ as mutmut
from mutmut.mutation import file_mutation, trampoline

ENOUGH = 0.9
AT_MOST = 600
"""Seconds for which the tests may run with one mutant: one that never ends is noticed."""
FIRST = 40
"""So many of the quickest tests are played before others, which may need a sandbox or a database."""
REACHED = Path("reached.json")

CORE = ["core/test_cycle.py", "core/test_overrides.py", "core/test_approval.py"]
TESTS = {
    "crmsync/routing": [
        "routing",
        "core/test_routing.py",
        "core/test_routing_run.py",
        "core/test_lifecycle_run.py",
        "core/test_deciding_rows.py",
        "core/test_sla_run.py",
        "core/test_lost_turns.py",
        "core/test_cycle.py",
        "core/test_queries.py",
    ],
    "crmsync/identity": ["core/test_identity.py", "core/test_cycle.py", "routing/test_accounts.py", "store"],
    "crmsync/planning/changes.py": ["core/test_plan.py", *CORE],
    "crmsync/planning/guard.py": ["core/test_plan.py", *CORE],
    "crmsync/planning/approval.py": [
        "core/test_plan_rows.py",
        "core/test_approval.py",
        "core/test_cycle.py",
        "core/test_undo.py",
    ],
    "crmsync/planning/builder.py": [
        "core/test_run_counts.py",
        "core/test_feedback.py",
        "core/test_queries.py",
        *CORE,
        "core/test_account_conditions.py",
        "core/test_account_counts.py",
        "core/test_exclude_lists.py",
        "core/test_routing_run.py",
        "core/test_small_moves.py",
        "core/test_tasks.py",
        "core/test_undo.py",
    ],
    "crmsync/planning/person_plan.py": [
        "core/test_person_plan.py",
        "core/test_person_changes.py",
        "core/test_run_counts.py",
        "core/test_queries.py",
        *CORE,
        "core/test_truth.py",
        "core/test_outcomes_run.py",
        "core/test_feedback.py",
        "core/test_tasks.py",
    ],
    "crmsync/planning/scored_people.py": [
        "core/test_scored_rows.py",
        "core/test_date_decisions.py",
        "core/test_score_fields.py",
        "core/test_account_counts.py",
        "core/test_account_conditions.py",
        "core/test_exclude_lists.py",
        "core/test_lost_turns.py",
        "core/test_queries.py",
        *CORE,
    ],
    "crmsync/planning/apply.py": [
        "core/test_apply.py",
        "core/test_give_back.py",
        *CORE,
        "core/test_undo.py",
        "core/test_failures_cycle.py",
    ],
    "crmsync/planning/verify.py": [
        "core/test_apply.py",
        "core/test_give_back.py",
        *CORE,
        "core/test_undo.py",
        "core/test_failures_cycle.py",
    ],
    "crmsync/planning": [
        "core/test_returned_turns.py",
        "core/test_fields_on_hold.py",
        "core/test_run_counts.py",
        "core/test_plan_report.py",
        "core/test_account_scores.py",
        "core/test_account_counts.py",
        "core/test_score_fields.py",
        "core/test_small_moves.py",
        "core/test_tasks.py",
        "core/test_undo.py",
        "core/test_sla_run.py",
        "core/test_feed_hold.py",
        "core/test_as_of_run.py",
        "core/test_queries.py",
        "core/test_routing_run.py",
        "core/test_lost_turns.py",
        "core/test_sla_http.py",
        *CORE,
    ],
    "crmsync/store/contacts.py": [
        "store",
        "core/test_full_pull.py",
        "core/test_cycle.py",
        "core/test_erasure.py",
        "core/test_forget.py",
    ],
    "crmsync/store/activities.py": ["store", "core/test_full_pull.py", "core/test_cycle.py"],
    "crmsync/store/journal.py": [
        "store",
        "core/test_apply.py",
        "core/test_give_back.py",
        "core/test_queries.py",
        *CORE,
    ],
    "crmsync/store/run_journal.py": ["store", "core/test_queries.py", *CORE],
    "crmsync/store/scores.py": ["store", "core/test_scored_rows.py", "core/test_queries.py", *CORE],
    "crmsync/scoring": [
        "scoring",
        "core/test_lint.py",
        "core/test_account_conditions.py",
        "core/test_account_counts.py",
        "core/test_as_of_run.py",
        "evaluation/test_experiment.py",
        "evaluation/test_evaluation_rows.py",
        "shell/test_score_files.py",
        "shell/test_tiers.py",
    ],
}
"""The tests of each part; a file belongs to the first part whose name it begins with.

Those that draw examples take long, PostgreSQL does what SQLite does.
"""

OPTIONS = ["-x", "-q", "--rootdir=.", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout", "60"]
QUICK = ["-k", "not postgresql", "-m", "not hypothesis"]
os.environ["DATABASES"] = "both"  # else half of the tests would be left to PostgreSQL, and played by nobody


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="files or folders, such as crmsync/routing; all that are configured")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each part; 0 for every one")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    drawn = _drawn(given.modules, given.sample, given.seed)
    os.chdir("mutants")
    wanted = list(dict.fromkeys(f"tests/{name}" for part in drawn for name in TESTS[part]))
    pytest.main([*OPTIONS, *QUICK, "--collect-only", "-qqq", *wanted])  # what is imported now need not be each time
    if _exit_code("stats", wanted, Reached()) != 0:
        sys.exit("NOT MEASURED: the tests fail without any mutant")
    reached = json.loads(REACHED.read_text(encoding="utf-8"))
    low = [part for part, names in drawn.items() if not _is_enough(part, names, reached)]
    return int(bool(low))


class Reached:
    """Notes, as a plugin of pytest, which tests reach each function and how long they take."""

    def __init__(self) -> None:
        self.now: set[str] = set()
        self.tests: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.took: dict[str, float] = defaultdict(float)

    def pytest_sessionstart(self) -> None:
        trampoline.record_trampoline_hit = lambda name, caller=None: self.now.add(name)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.took[report.nodeid] += report.duration

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        for name in self.now:
            self.tests[name].append((self.took[nodeid], nodeid))
        self.now.clear()

    def pytest_sessionfinish(self) -> None:
        quickest = {name: [nodeid for _, nodeid in sorted(tests)] for name, tests in self.tests.items()}
        REACHED.write_text(json.dumps(quickest), encoding="utf-8")


class Visitor(file_mutation.MutationVisitor):
    """Leaves `strict=True` as it is."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        return _is_strict(node) or super()._skip_node_and_children(node)

    def _removes_ignored_code(self, node: cst.CSTNode, mutated_node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Call) and isinstance(mutated_node, cst.Call):
            kept = {id(each) for each in mutated_node.args}
            if any(_is_strict(each) and id(each) not in kept for each in node.args):
                return True
        return super()._removes_ignored_code(node, mutated_node)


file_mutation.MutationVisitor = Visitor


def _is_strict(node: cst.CSTNode) -> bool:
    if not isinstance(node, cst.Arg) or node.keyword is None or node.keyword.value != "strict":
        return False
    return isinstance(node.value, cst.Name) and node.value.value == "True"


def _in_order(part: str, tests: Sequence[str]) -> list[str]:
    """The quickest first; the rest file by file, those that know the part best before others."""
    files = [f"tests/{name}" for name in TESTS[part]]

    def place(nodeid: str) -> tuple[int, str]:
        known = next((number for number, name in enumerate(files) if nodeid.startswith(name)), len(files))
        return known, nodeid.partition("::")[0]

    return [*tests[:FIRST], *sorted(tests[FIRST:], key=place)]


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


def _is_enough(part: str, names: Sequence[str], reached: Mapping[str, Sequence[str]]) -> bool:
    alive = []
    for name in names:
        begun, tests = time.monotonic(), _in_order(part, reached.get(name.rpartition("__mutmut_")[0], []))
        lives = not tests or _exit_code(name, tests) == 0
        said = f"{time.monotonic() - begun:.0f} s" if tests else "no test reaches it"
        print(f"{'SURVIVED' if lives else 'killed'} {name} ({said})", flush=True)
        if lives:
            alive.append(name)
            subprocess.run([f"{Path(sys.executable).parent}/mutmut", "show", name], cwd="..", check=False)
    score = 1 - len(alive) / len(names)
    print(f"{part}: {len(names) - len(alive)} of {len(names)} killed ({score:.0%})", flush=True)
    return score >= ENOUGH


def _exit_code(mutant: str, tests: Sequence[str], aloud: Reached | None = None) -> int:
    """How pytest ends with one mutant, or with none. A process of its own: what a mutant spoils goes with it."""
    sys.stdout.flush()
    if not (child := os.fork()):
        if not aloud:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
        mutmut.set_mutant_under_test(mutant)
        os._exit(int(pytest.main([*OPTIONS, *QUICK, *tests], plugins=[aloud] if aloud else [])))
    until = time.monotonic() + (float("inf") if aloud else AT_MOST)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(ended[1])
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"NOT MEASURED: pytest found nothing to run for {mutant}")
    return code


if __name__ == "__main__":
    sys.exit(main())
