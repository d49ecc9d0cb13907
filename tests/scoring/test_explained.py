"""What a model that uses everything tells of three people, word by word."""

import pytest

from crmsync.scoring import choose_people, compare_lines, person_documents, score
from tests.support.rich_model import PEOPLE, PREVIOUS, RICH
from tests.support.scoring_strategies import NOW, ZONES, columns_of

SAID = {
    3: """
        Sells or buys 7: title is "Procurement Manager" (procurement from "Procurement")
        Pricing 8: 1×, on 10 October 2026 (42 days ago)
        Pricing: time decay -7.69: half-life 9 days
        Long visits 10: 2× in the last 40 days, last on 10 November 2026 (11 days ago); seconds add up to 900
        Opened 2: 1×, on 10 October 2026 (42 days ago)
        Opened: time decay -1.4: linear to 0 over 60 days
        Sent and unread -9: 3×, last on 18 November 2026 (3 days ago)
        Form 22: 2× in the last 60 days, last on 10 November 2026 (11 days ago)
        Weight of fit -3.5: weight of fit: 0.5
        gap: email has a value that its rules cannot use: Size, free
        gap: renewal is not known: Renewal, Renewal soon
        gap: stack is not known: Stack
        gap: vip has a value that its rules cannot use: Clicked
        warning: email: its rules cannot use the value, so it counts as unknown
        warning: vip: its rules cannot use the value, so it counts as unknown
        until: mql until 23 November 2026 without new activity, then warm
        range: 17.91 to 40.21, cold or mql
        reason: mql, 27.41 points: Form +22, Long visits +10, Sent and unread -9, Sells or buys +7, Weight of fit -3.5, Opened +0.6, Pricing +0.31
    """,  # noqa: E501 - one line is one sentence
    5: """
        Stack 4: stack is "SAP;Kafka"
        Renewal -6: renewal is "2026-11-14"
        Pricing 24: 3×, last on 16 November 2026 (5 days ago)
        Pricing: time decay -13.43: half-life 9 days
        Long visits 20: 4× in the last 40 days, last on 16 November 2026 (5 days ago); seconds add up to 980
        Opened 4: 2×, last on 16 November 2026 (5 days ago)
        Opened: time decay -0.44: linear to 0 over 60 days
        Opened: at most 3 -0.56: the rule is capped at 3 points
        Clicked 6: 1×, on 15 September 2026 (67 days ago); vip is "Yes"
        Clicked: time decay -5.25: 80 % from day 5, 50 % from day 15, 12.5 % from day 40
        Form 11: 1× in the last 60 days, on 5 November 2026 (16 days ago)
        Busy 9: completed on 16 November 2026 (5 days ago)
        Busy: time decay -0.9: linear to 0 over 50 days
        Limit of the channel web -0.57: all rules of 'web' together give at most 30
        Weight of fit 1: weight of fit: 0.5
        Learned adjustment -6.5: free -9; -9 cut to -6.5, the most of [learned] clamp
        gap: title is not known: Boss, Sells or buys, boss
        warning: created: its rules cannot use the value, so it counts as unknown
        until: mql until 9 December 2026 without new activity, then warm
        range: 45.35 to 51, mql
        reason: mql, 45.35 points: Long visits +20, Form +11, Pricing +10.57, Busy +8.1, Learned adjustment -6.5, Renewal -6, Stack +4, Opened +3, Weight of fit +1, Clicked +0.75, Limit of the channel web -0.57
    """,  # noqa: E501 - one line is one sentence
    6: """
        Boss 12.5: title is "Director of Sales" (director from "Director")
        Sells or buys 7: title is "Director of Sales" (sales from "Sales")
        Renewal soon 3: renewal is "2026-11-25"
        Limit of the group f -4.5: all rules of 'f' together give at most 15
        Pricing 8: 1×, on 7 October 2026 (45 days ago)
        Pricing: time decay -7.75: half-life 9 days
        Opened 4: 2×, last on 20 November 2026 (yesterday)
        Opened: time decay -1.7: linear to 0 over 60 days
        Form 33: 3× in the last 60 days, last on 16 November 2026 (5 days ago)
        Weight of fit -4.5: weight of fit: 0.75
        Learned adjustment 5: boss +5
        Disqualified: Rival 0: always in the lowest band: Rival
        gap: employees is not known: Size
        until: nothing
        range: 54.05 to 55, cold
        reason: cold, 54.05 points: Disqualified: Rival (always in the lowest band: Rival), Form +33, Boss +12.5, Sells or buys +7, Learned adjustment +5, Limit of the group f -4.5, Weight of fit -4.5, Renewal soon +3, Opened +2.3, Pricing +0.25
    """,  # noqa: E501 - one line is one sentence
}  # fmt: skip


def told(document):
    yield from (f"{line['rule']} {line['points']}: {line['why']}" for line in document["lines"])
    yield from (f"gap: {each}" for each in document["gaps"])
    yield from (f"warning: {each}" for each in sorted(document["warnings"]))
    yield f"until: {document['until']['said'] if document['until'] else 'nothing'}"
    yield "range: {lowest} to {highest}, {0}".format(" or ".join(document["range"]["bands"]), **document["range"])
    yield f"reason: {document['reason']}"


@pytest.mark.parametrize("row", SAID)
def test_each_line_says_what_gave_its_points_and_what_is_not_known_or_ahead_is_said(row):
    model, columns = RICH["rules and learned"], columns_of(PEOPLE)
    scores = score(model, columns, NOW, ZONES[1], PREVIOUS)
    (document,) = person_documents(choose_people(model, scores, columns, [row], NOW, ZONES[1]))
    assert list(told(document)) == [each.strip() for each in SAID[row].strip().splitlines()]


def test_between_two_explanations_stands_what_came_what_went_and_what_became_more_or_less():
    def line(rule, points, why):
        return {"rule": rule, "points": points, "why": why}

    before = [line("same", 5, "a"), line("more", 1.5, "b"), line("gone", 4, "c"), line("nothing", 0, "d")]
    after = [line("came", -2, "e"), line("more", 3.75, "f"), line("same", 5, "g"), line("none", 0, "h")]
    assert compare_lines(before, after) == [
        line("came", -2, "e"),
        line("more", 2.25, "f"),
        line("gone", -4, "no longer matches"),
    ]
