"""Whatever HubSpot answers, within its public specification and beside it, only errors of ours leave the connector."""

import os
import re
from email.utils import format_datetime
from itertools import cycle

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.hubspot.client import _Answer
from connectors.sandbox.server import serve
from crmsync.errors import CrmsyncError
from crmsync.model import Ref
from tests.conftest import NOW
from tests.support.answers import answered, operations, pattern, violations
from tests.support.hubspot import change, hubspot
from tests.support.pages import pulled
from tests.support.stop import Hurried

EXAMPLES = int(os.environ.get("ANSWERS", "5"))
"""Answers to each call; `make answers` asks for a thousand."""

PHASES = [Phase.generate]
"""Nothing is made smaller: an answer that fails is short enough to be read."""

MOST = 2_000
"""Calls after which one question is taken to be without an end."""

AS_RECORDED = re.compile(r"toObjectId is \d+$|label is None$")
"""Where the sandbox answers as HubSpot was recorded to: ids of associations are numbers, and most have no label."""

OPERATIONS = list(operations())
CALLS = [f"{method} {path}" for method, path, _ in OPERATIONS]


@pytest.fixture(scope="module")
def portal():
    """Each thing that is asked of the connector, with its portal: one that has our fields, or a bare one."""
    with serve(people=4, seed=1, now=NOW) as sandbox, serve(people=0, now=NOW) as bare:
        made = hubspot(sandbox)
        made.create_fields()
        contacts, cursor = pulled(made.contacts(None))
        _, seen = pulled(made.activities(None))
        for each in contacts:
            values = {"dealstage": "closedwon"}
            deal = sandbox.do("hubspot", "create", type="deals", properties=values)["id"]
            sandbox.do("hubspot", "associate", type="deals", id=deal, to="contacts", other=each.ref.id)
        _, sold = pulled(made.outcomes(None))
        made.close()
        refs = [each.ref for each in contacts]
        changes = [change(ref.id, score=7, stage="mql", owner=None, reason="because") for ref in refs]
        many = [change(str(number), score=7) for number in range(120)]
        sandbox.clock.advance(60)
        asked = {
            "account": lambda crm: crm.account(),
            "check": lambda crm: crm.check(),
            "owners": lambda crm: crm.owners(),
            "missing": lambda crm: crm.missing_fields(),
            "stages": lambda crm: crm.stage_order(),
            "contacts": lambda crm: pulled(crm.contacts(None)),
            "changed": lambda crm: pulled(crm.contacts(cursor)),
            "activities": lambda crm: pulled(crm.activities(None)),
            "happened": lambda crm: pulled(crm.activities(seen)),
            "outcomes": lambda crm: pulled(crm.outcomes(None)),
            "sold": lambda crm: pulled(crm.outcomes(sold)),
            "scores": lambda crm: [crm.read_lead_score(each.id) for each in crm.list_lead_scores()],
            "past": lambda crm: list(crm.past_fields(refs)),
            "read": lambda crm: list(crm.read([*refs, Ref("hubspot", "contact", "999")])),
            "write": lambda crm: list(crm.write(changes)),
            "import": lambda crm: list(crm.write(many)),
            "read back": lambda crm: list(crm.read_back(changes)),
        }
        questions = {name: (sandbox, question) for name, question in asked.items()}
        yield questions | {
            "check before": (bare, lambda crm: crm.check()),
            "create": (bare, lambda crm: crm.create_fields()),
        }


class Waits(Hurried):
    """A wait that takes no time moves the portal's clock, by which some waits end."""

    def __init__(self, sandbox):
        super().__init__()
        self._sandbox = sandbox

    def wait(self, seconds=None):
        self._sandbox.clock.advance(seconds)
        return False


def connected(sandbox):
    return hubspot(
        sandbox, stop=Waits(sandbox), mass_write="import", import_threshold=100, backfill="export", concurrency=1
    )


def listening(crm, answers=None, address=None):
    """Lets the connector hear `answers` at an address and the sandbox's everywhere else; returns what it hears."""
    exchanged, heard = crm._api._exchanged, []

    def exchange(method, where, *rest):
        if len(heard) > MOST:
            raise AssertionError(f"{MOST} calls, and it goes on asking {method} {where.path}")
        asked = answers is not None and method == address[0] and address[1].fullmatch(where.path)
        answer = answers() if asked else exchanged(method, where, *rest)
        heard.append((method, where.path, answer))
        return answer

    crm._api._exchanged = exchange
    return heard


@pytest.fixture(scope="module")
def heard(portal):
    """What the sandbox answers to each question: the question, and the call with its answer."""
    found = []
    for name, (sandbox, question) in portal.items():
        crm = connected(sandbox)
        calls = listening(crm)
        question(crm)
        crm.close()
        found += [(name, *call) for call in calls]
    portal["create"][0].reset()
    return found


def to(method, path, heard):
    """The calls to an endpoint, among all."""
    return [(name, answer) for name, used, at, answer in heard if used == method and pattern(path).fullmatch(at)]


@pytest.mark.parametrize(("method", "path", "schemas"), OPERATIONS, ids=CALLS)
def test_the_sandbox_answers_as_the_specification_says(heard, method, path, schemas):
    for _, answer in to(method, path, heard):
        assert answer.status in (*schemas, 207, 404, 409)
        if answer.status in schemas:
            found = violations(orjson.loads(answer.content), schemas[answer.status])
            assert [each for each in found if not AS_RECORDED.search(each)] == []


def ask(portal, name, answers, method, path):
    """Ask a question while HubSpot gives these answers to one of the calls."""
    sandbox, question = portal[name]
    crm = connected(sandbox)
    told = cycle(answers)

    def next_answer():
        status, body = next(told)
        return _Answer(status, {"Date": format_datetime(sandbox.clock(), usegmt=True)}, body)

    listening(crm, next_answer, (method, pattern(path)))
    try:
        question(crm)
    except CrmsyncError:
        pass
    finally:
        crm.close()
        if name == "create":
            sandbox.reset()  # nothing of what it created is there for the next one


@pytest.mark.parametrize(("method", "path", "schemas"), OPERATIONS, ids=CALLS)
def test_no_answer_of_the_specification_or_beside_it_is_a_fault(portal, heard, method, path, schemas):
    names = sorted({name for name, _ in to(method, path, heard)})

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=PHASES
    )
    @given(st.sampled_from(names), st.lists(answered(schemas), min_size=1, max_size=3))
    def holds(name, answers):
        ask(portal, name, answers, method, path)

    holds()


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in OPERATIONS], ids=CALLS)
@pytest.mark.parametrize("answer", [(204, b""), (200, b""), (200, b"null")], ids=["no content", "no body", "null"])
def test_an_answer_that_says_nothing_is_no_fault(portal, heard, answer, method, path):
    for name in {name for name, _ in to(method, path, heard)}:
        ask(portal, name, [answer], method, path)
