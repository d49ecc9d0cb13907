"""How the sandbox reads SOQL."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.soql import (
    Comparison,
    FunctionCall,
    Joined,
    Membership,
    Negation,
    Path,
    Query,
    SelectColumn,
    SoqlError,
    parse_query,
)


def paths(query: Query) -> list[str]:
    return [item.what.text for item in query.items if isinstance(item, SelectColumn) and isinstance(item.what, Path)]


def test_a_query_with_everything():
    query = parse_query(
        "select Id, Owner.Name, (SELECT Id FROM Tasks ORDER BY Id LIMIT 3) from Lead l "
        "where Email like '%@x.example' and not (IsConverted = true or Title = null) "
        "order by SystemModstamp desc nulls last, Id limit 10 offset 5 all rows"
    )
    assert paths(query) == ["Id", "Owner.Name"]
    assert isinstance(query.items[2], Query)
    assert query.items[2].limit == 3
    assert (query.source, query.alias, query.limit, query.offset, query.all_rows) == ("Lead", "l", 10, 5, True)
    assert isinstance(query.where, Joined)
    assert isinstance(query.where.conditions[1], Negation)
    assert [(sort.descending, sort.nulls_last) for sort in query.order] == [(True, True), (False, False)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT Id FROM Group",
        "SELECT Id FROM Order WHERE OrderNumber = '1' ORDER BY OrderNumber",
        "SELECT Id FROM Group GROUP BY Id",
        "SELECT Id, Limit__c, From__c FROM Like__c",
        "SELECT Group.Name FROM GroupMember WHERE Group.Type = 'Queue'",
    ],
)
def test_words_of_the_language_are_names_where_a_name_stands(text):
    assert parse_query(text).source


def test_functions_are_told_from_fields():
    query = parse_query(
        "SELECT COUNT(Id) total, MAX(CreatedDate), Status FROM Lead GROUP BY Status HAVING Status != null"
    )
    calls = [
        item.what for item in query.items if isinstance(item, SelectColumn) and isinstance(item.what, FunctionCall)
    ]
    assert [(call.name, [each.text for each in call.arguments]) for call in calls] == [
        ("COUNT", ["Id"]),
        ("MAX", ["CreatedDate"]),
    ]
    assert query.having is not None


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("'O\\'Hara'", "string", "O'Hara"),
        ("'caf\\u00e9'", "string", "café"),
        ("''", "string", ""),
        ("-3.5", "number", -3.5),
        ("42", "number", 42),
        ("TRUE", "boolean", True),
        ("Null", "null", None),
        ("LAST_N_DAYS:30", "range", ("LAST_N_DAYS", 30)),
        ("today", "range", ("TODAY", 0)),
        ("2026-11-21T10:00:00+01:00", "datetime", datetime(2026, 11, 21, 9, tzinfo=UTC)),
        ("2026-11-21T09:00:00.000Z", "datetime", datetime(2026, 11, 21, 9, tzinfo=UTC)),
    ],
)
def test_literals(text, kind, value):
    where = parse_query(f"SELECT Id FROM Lead WHERE X = {text}").where
    assert isinstance(where, Comparison)
    assert (where.right.kind, where.right.value) == (kind, value)


def test_members_are_literals_or_a_query():
    literal = parse_query("SELECT Id FROM Lead WHERE Status NOT  IN ('a', 'b')").where
    assert isinstance(literal, Membership)
    assert literal.operator == "not in"
    assert [member.value for member in literal.members] == ["a", "b"]
    semi = parse_query("SELECT Id FROM Lead WHERE Id IN (SELECT LeadId FROM CampaignMember)").where
    assert isinstance(semi, Membership)
    assert isinstance(semi.members, Query)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT Id FORM Lead", "unexpected token: 'Lead'"),
        ("SELECT Id FROM Lead WHERE", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Lead WHERE a = 1 AND b = 2 OR c = 3", "unexpected token: 'OR'"),
        ("SELECT Id FROM Lead WHERE a = 2026-01-01T00:00:00 00:00", "unexpected token"),
        ("SELECT Id FROM Lead WHERE a = 'x\\q'", "Illegal character sequence '\\q'"),
        ("SELECT Id FROM Lead; DROP", "unexpected token: ';'"),
        ("SELECT Id FROM Lead LIMIT -1", "unexpected token: '-1'"),
        ("SELECT Id FROM Lead OFFSET 1.5", "unexpected token: '1.5'"),
        ("", "unexpected token: '<EOF>'"),
    ],
)
def test_mistakes_are_told_as_salesforce_tells_them(text, said):
    with pytest.raises(SoqlError) as caught:
        parse_query(text)
    assert caught.value.code == "MALFORMED_QUERY"
    assert said in caught.value.message


def test_the_caret_points_at_the_culprit():
    with pytest.raises(SoqlError) as caught:
        parse_query("SELECT Id FROM Lead WHERE a ! 1")
    lines = caught.value.message.split("\n")
    assert lines[1][len(lines[2]) - 1] == "!"
    assert lines[3] == "ERROR at Row:1:Column:29"


@given(st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"])))
def test_text_survives_quoting(text):
    where = parse_query(f"SELECT Id FROM Lead WHERE X = '{text}'").where
    assert isinstance(where, Comparison)
    assert where.right.value == text
