"""What an admin may have written beside the score: grade, grid, segment, until when, what is next, channels, model."""

from contextlib import closing
from datetime import datetime, timedelta

import pytest

from crmsync.cycle import run_cycle
from crmsync.reporting.person import explain_person
from crmsync.scoring.wording import truncate
from tests.support.cycles import ADA, DAYS, hot, world
from tests.support.make import MODEL, activity, config, contact, crm, store, work

FIELDS = ("grade", "grid", "segment", "qualifications", "until", "next", "model", "channels.web")
MAPPED = (
    MODEL.replace('points = 30\non = "form_submitted"', 'points = 30\nchannel = "web"\non = "form_submitted"')
    + "".join(f'{name} = {{ hubspot = "c_{name}", salesforce = "C_{name}__c" }}\n' for name in FIELDS)
    + """
[channels.web]
cap = 25
[grades]
A = 20
B = 0
[grid]
1 = 20
2 = 0
[[segment]]
name = "Small"
when = { field = "employees", lt = 100 }
[[qualification]]
name = "Size is known"
when = { field = "employees", exists = true }
[[qualification]]
name = "Decides"
when = { field = "title", in = ["VP", "CEO", "VP Sales"] }
"""
)
SOONER = MAPPED.replace('window = "60d"', 'window = "50d"')
"""The same score for whoever did something in the last 50 days, and another day on which it falls."""


def run(state, *crms, at, text=MAPPED):
    return run_cycle(work(state, *crms, now=at, settings=config(text)), approved=True)


def promised(state, settings, record, now):
    """What the score fields are to hold, by what an explanation says."""
    said = explain_person(settings, state, f"{record.ref.crm}:{record.ref.kind}:{record.ref.id}", now)
    until = said["until"] and datetime.fromisoformat(said["until"]["at"]).astimezone(settings.zone)
    return {
        "grade": said["grade"],
        "grid": said["grid"],
        "segment": said["segment"],
        "until": until and (until - timedelta(days=1)).date().isoformat(),
        "next": said["next"] and truncate(said["next"]["said"]),
        "channels.web": said["channels"]["web"],
        "model": settings.model_hash(),
    }


@pytest.mark.parametrize("days", [(0,), (0, 7, 31, 58)])
def test_every_record_holds_what_an_explanation_says(state, days):
    crms = world(seed=3)
    for day in days:
        run(state, *crms, at=DAYS[day])
    seen = set()
    for of in crms:
        for record in of.records.values():
            now = promised(state, config(MAPPED), record, DAYS[days[-1]])
            held = {name: record.current.get(name) for name in now}
            assert held == now
            seen |= {(name, value is None) for name, value in held.items()}
    both = {"segment", "until", "next"} if days == (0,) else {"segment"}
    assert {(name, empty) for name in both for empty in (True, False)} <= seen  # the test saw something and nothing


def test_an_edited_rule_that_moves_only_the_day_of_the_fall_is_written(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    before = dict(hubspot.records[ADA].current)
    run(state, hubspot, at=DAYS[1], text=SOONER)
    after = hubspot.records[ADA].current
    assert before["score"] == after["score"]
    assert after["until"] < before["until"]
    assert after["model"] == config(SOONER).model_hash() != before["model"]


def test_a_second_run_writes_nothing(state):
    crms = world(seed=5)
    run(state, *crms, at=DAYS[0])
    written = [len(of.writes) for of in crms]
    run(state, *crms, at=DAYS[0] + timedelta(hours=1))
    assert [len(of.writes) for of in crms] == written


def test_a_rebuilt_state_writes_nothing(state, tmp_path):
    crms = world(seed=7)
    for day in (0, 9, 30):
        run(state, *crms, at=DAYS[day])
    written = [len(of.writes) for of in crms]
    (tmp_path / "again").mkdir()
    with closing(store(tmp_path / "again")) as rebuilt:
        run(rebuilt, *crms, at=DAYS[30])
    assert [len(of.writes) for of in crms] == written


def test_qualifications_are_told_by_name(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    assert hubspot.records[ADA].current["qualifications"] == "Size is known; Decides"


def test_a_field_that_could_only_be_empty_is_refused():
    for name in FIELDS:
        if name != "model" and name not in ("until", "next"):
            with pytest.raises(ValueError, match=rf"\[write.fields\] {name} needs \["):
                config(MODEL + f'{name} = {{ hubspot = "c_x" }}\n')


def test_a_channel_may_be_named_as_a_table_of_toml_or_as_text():
    for key in ("channels.web", '"channels.web"'):
        text = MAPPED.replace("\nchannels.web =", f"\n{key} =")
        assert config(text).write.fields["channels.web"] == {
            "hubspot": "c_channels.web",
            "salesforce": "C_channels.web__c",
        }


TWO_CLICKS = """
[[behavior]]
name = "Clicks"
points = 60
on = "email_clicked"
at_least = 2
window = "9d"
"""
LEFT = """
[[disqualify]]
name = "Unsubscribed"
on = "email_unsubscribed"
window = "9d"
"""
AT_ONCE = """
[[behavior]]
name = "Clicks"
points = 60
on = "email_clicked"
unless = { on = "email_replied", window = "9d" }
"""
FAR_AHEAD = """
[[behavior]]
name = "Clicks"
points = 60
on = "email_clicked"
window = "409d"
"""


@pytest.mark.parametrize(
    ("rule", "kind", "name"),
    [
        (TWO_CLICKS, "email_clicked", "next"),
        (LEFT, "email_unsubscribed", "next"),
        (LEFT, "email_unsubscribed", "reason"),
        (AT_ONCE, "email_replied", "next"),
        (FAR_AHEAD, "email_clicked", "until"),
    ],
)
def test_time_alone_moves_what_is_told_though_no_line_of_a_score_does(state, tmp_path, rule, kind, name):
    hubspot = crm("hubspot")
    clerk = contact(1, fields={"title": "Clerk", "employees": 5})
    hubspot.edit(clerk)
    hubspot.happen(activity(1, clerk, kind=kind, url="x"))
    text, held = MAPPED + rule, []
    for day in (0, 20):
        run(state, hubspot, at=DAYS[day], text=text)
        held.append(hubspot.records[clerk.ref].current.get(name))
    assert held[0] != held[1]
    (tmp_path / "again").mkdir()
    with closing(store(tmp_path / "again")) as rebuilt:
        run(rebuilt, hubspot, at=DAYS[20], text=text)
    assert hubspot.records[clerk.ref].current.get(name) == held[1]
