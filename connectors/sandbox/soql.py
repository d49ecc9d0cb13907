"""SOQL as Salesforce reads it: a query's text becomes a tree, or an error in Salesforce's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import lark

from connectors.sandbox.digits import LONGEST, is_count

GRAMMAR = r"""
query: _SELECT items _FROM PATH [alias] [scope] [where] [with] [group] [order] [limit] [offset] tail*
items: item ("," item)*
?item: column | "(" query ")"
column: (path | call) [alias]
path: PATH
call: PATH "(" [path ("," path)*] ")"
alias: PATH
scope: _USING _SCOPE PATH
where: _WHERE _condition
with: _WITH PATH
_condition: _unary | both | either
both: _unary (_AND _unary)+
either: _unary (_OR _unary)+
_unary: negation | "(" _condition ")" | comparison | membership
negation: _NOT _unary
comparison: operand OPERATOR value | operand LIKE value
membership: operand IN members | operand NOTIN members | operand INCLUDES members | operand EXCLUDES members
operand: path | call
members: "(" value ("," value)* ")" | "(" query ")"
value: STRING | DATETIME | DATE | NUMBER | RANGE | PATH
group: _GROUP _BY (path | call) ("," (path | call))* [having]
having: _HAVING _condition
order: _ORDER _BY sort ("," sort)*
sort: (path | call) [DIRECTION] [_NULLS PLACE]
limit: _LIMIT NUMBER
offset: _OFFSET NUMBER
tail: _FOR PATH | ALLROWS

_SELECT.2: /select\b/i
_FROM.2: /from\b/i
_USING.2: /using\b/i
_SCOPE.2: /scope\b/i
_WHERE.2: /where\b/i
_WITH.2: /with\b/i
_AND.2: /and\b/i
_OR.2: /or\b/i
_NOT.2: /not\b/i
_GROUP.2: /group\b/i
_BY.2: /by\b/i
_HAVING.2: /having\b/i
_ORDER.2: /order\b/i
_NULLS.2: /nulls\b/i
_LIMIT.2: /limit\b/i
_OFFSET.2: /offset\b/i
_FOR.2: /for\b/i
ALLROWS.3: /all\s+rows\b/i
LIKE.2: /like\b/i
IN.2: /in\b/i
NOTIN.3: /not\s+in\b/i
INCLUDES.2: /includes\b/i
EXCLUDES.2: /excludes\b/i
DIRECTION.2: /(asc|desc)\b/i
PLACE.2: /(first|last)\b/i
OPERATOR: "<=" | ">=" | "!=" | "<>" | "=" | "<" | ">"
STRING: /'(\\.|[^'\\])*'/s
DATETIME.4: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)/i
DATE.3: /\d{4}-\d\d-\d\d/
NUMBER.2: /[+-]?\d+(\.\d+)?/
RANGE.3: /[a-z_]+:\d+/i
PATH: /[a-z]\w*(\.[a-z]\w*)*/i
%ignore /\s+/
"""


class SoqlError(Exception):
    """A query Salesforce refuses: `code` is its errorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Path:
    """A field, perhaps through parents: `Account.Industry`. `at` is where it stands, counted from 1."""

    text: str
    at: int

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.text.split("."))


@dataclass(frozen=True)
class FunctionCall:
    """A function: `COUNT(Id)`, `MAX(SystemModstamp)`, `FIELDS(ALL)`."""

    name: str
    arguments: tuple[Path, ...]
    at: int


@dataclass(frozen=True)
class SelectColumn:
    """One selected thing and the name it is given."""

    what: Path | FunctionCall
    alias: str | None


@dataclass(frozen=True)
class Value:
    """A literal. `range` is a date literal such as `LAST_N_DAYS:30`: a name and a number."""

    kind: Literal["string", "number", "date", "datetime", "boolean", "null", "range"]
    value: Any
    text: str


@dataclass(frozen=True)
class Comparison:
    """`Title LIKE '%chief%'`."""

    left: Path | FunctionCall
    operator: str
    right: Value


@dataclass(frozen=True)
class Membership:
    """`Id IN (…)`: the members are literals or another query."""

    left: Path | FunctionCall
    operator: str
    members: tuple[Value, ...] | Query


@dataclass(frozen=True)
class Joined:
    """Conditions joined by `and` or `or`."""

    word: Literal["and", "or"]
    conditions: tuple[WhereCondition, ...]


@dataclass(frozen=True)
class Negation:
    """`NOT …`."""

    condition: WhereCondition


WhereCondition: TypeAlias = Comparison | Membership | Joined | Negation


@dataclass(frozen=True)
class Sort:
    """One key of an `ORDER BY`; Salesforce puts nulls first unless told otherwise."""

    by: Path | FunctionCall
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A whole query. `at` is where the object's name stands."""

    items: tuple[SelectColumn | Query, ...]
    source: str
    at: int
    alias: str | None
    where: WhereCondition | None
    group: tuple[Path | FunctionCall, ...]
    having: WhereCondition | None
    order: tuple[Sort, ...]
    limit: int | None
    offset: int
    all_rows: bool


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}
_WORDS: dict[str, tuple[Literal["boolean", "null"], bool | None]] = {
    "true": ("boolean", True),
    "false": ("boolean", False),
    "null": ("null", None),
}


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] == "u" and len(escape) == 5:
        return chr(int(escape[1:], 16))
    if escape in "_%":  # kept for LIKE, which must tell them from its wildcards
        return match[0]
    if escape not in _ESCAPES:
        raise SoqlError(
            "MALFORMED_QUERY", f"Invalid string literal. Illegal character sequence '\\{escape}' in string literal."
        )
    return _ESCAPES[escape]


def _string(text: str) -> str:
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescape, text[1:-1], flags=re.DOTALL) if "\\" in text else text[1:-1]


def _datetime(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except ValueError:
        raise SoqlError("MALFORMED_QUERY", f"line 1:0 Invalid datetime: {text}") from None


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SoqlError("INVALID_FIELD", f"Invalid date: {text}") from None


def _number(text: str) -> int | float:
    # A text of thousands of digits is no number that Python would read.
    return float(text) if "." in text or len(text) > LONGEST else int(text)


def _word(text: str) -> Value:
    if known := _WORDS.get(text.lower()):
        return Value(known[0], known[1], text)
    return Value("range", (text.upper(), 0), text)


def _literal(token: lark.Token) -> Value:
    text = str(token)
    if token.type == "STRING":
        return Value("string", _string(text), text)
    if token.type == "DATETIME":
        return Value("datetime", _datetime(text), text)
    if token.type == "DATE":
        return Value("date", _date(text), text)
    if token.type == "NUMBER":
        return Value("number", _number(text), text)
    if token.type == "RANGE":
        name, count = text.split(":")
        return Value("range", (name.upper(), int(count)), text)
    return _word(text)


def _place(token: lark.Token) -> int:
    return (token.start_pos or 0) + 1


@lark.v_args(inline=True)
class _Trees(lark.Transformer[lark.Token, Any]):
    """One method for each rule of the grammar."""

    def path(self, token: lark.Token) -> Path:
        return Path(str(token), _place(token))

    def call(self, token: lark.Token, *arguments: Path | None) -> FunctionCall:
        return FunctionCall(str(token).upper(), tuple(each for each in arguments if each), _place(token))

    def alias(self, token: lark.Token) -> str:
        return str(token)

    def column(self, what: Path | FunctionCall, alias: str | None) -> SelectColumn:
        return SelectColumn(what, alias)

    def operand(self, what: Path | FunctionCall) -> Path | FunctionCall:
        return what

    def value(self, token: lark.Token) -> Value:
        return _literal(token)

    def comparison(self, left: Path | FunctionCall, operator: lark.Token, right: Value) -> Comparison:
        return Comparison(left, str(operator).lower().replace("<>", "!="), right)

    def membership(self, left: Path | FunctionCall, operator: lark.Token, members: Any) -> Membership:
        return Membership(left, " ".join(str(operator).lower().split()), members)

    def members(self, *members: Any) -> Any:
        return members[0] if isinstance(members[0], Query) else members

    def both(self, *conditions: WhereCondition) -> Joined:
        return Joined("and", conditions)

    def either(self, *conditions: WhereCondition) -> Joined:
        return Joined("or", conditions)

    def negation(self, condition: WhereCondition) -> Negation:
        return Negation(condition)

    def sort(self, by: Path | FunctionCall, direction: lark.Token | None, place: lark.Token | None) -> Sort:
        descending = direction is not None and direction.lower() == "desc"
        return Sort(by, descending, place is not None and place.lower() == "last")

    def where(self, condition: WhereCondition) -> WhereCondition:
        return condition

    having = where

    def items(self, *items: SelectColumn | Query) -> tuple[SelectColumn | Query, ...]:
        return items

    def group(self, *parts: Any) -> tuple[tuple[Path | FunctionCall, ...], WhereCondition | None]:
        return parts[:-1], parts[-1]

    def order(self, *sorts: Sort) -> tuple[Sort, ...]:
        return sorts

    def limit(self, token: lark.Token) -> int:
        if not is_count(token):
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{token}'")
        return int(token)

    offset = limit

    def scope(self, token: lark.Token) -> None:
        return None

    def with_(self, token: lark.Token) -> None:
        return None

    def tail(self, token: lark.Token) -> bool:
        return token.type == "ALLROWS"

    def query(self, items: Any, source: lark.Token, *parts: Any) -> Query:
        alias, _, where, _, group, order, limit, offset, *tails = parts
        by, having = group or ((), None)
        return Query(
            items=items,
            source=str(source),
            at=_place(source),
            alias=alias,
            where=where,
            group=by,
            having=having,
            order=order or (),
            limit=limit,
            offset=offset or 0,
            all_rows=any(tails),
        )


setattr(_Trees, "with", _Trees.with_)

_PARSER = lark.Lark(GRAMMAR, start="query", parser="lalr", lexer="contextual", maybe_placeholders=True)


def pointing(text: str, at: int, message: str) -> str:
    """A message as Salesforce words it: the query's line, a caret under the culprit and where that is."""
    before = text[: at - 1]
    row, start = before.count("\n") + 1, before.rfind("\n") + 1
    line, column = text[start:].split("\n", 1)[0], at - start
    shown = line[max(0, column - 60) : column + 20]
    caret = " " * (min(column, 61) - 1) + "^"
    return f"\n{shown}\n{caret}\nERROR at Row:{row}:Column:{column}\n{message}"


def _complaint(text: str, error: lark.UnexpectedInput) -> SoqlError:
    if isinstance(error, lark.UnexpectedToken) and error.token.type != "$END":
        found, at = str(error.token), _place(error.token)
    elif isinstance(error, lark.UnexpectedCharacters):
        at = int(vars(error)["pos_in_stream"]) + 1
        found = text[at - 1 :].split()[0]
    else:
        found, at = "<EOF>", len(text) + 1
    return SoqlError("MALFORMED_QUERY", pointing(text, at, f"unexpected token: '{found}'"))


@lru_cache(maxsize=512)
def parse_query(text: str) -> Query:
    """The tree of a query. Raises `SoqlError` (MALFORMED_QUERY) as Salesforce would."""
    try:
        tree = _Trees().transform(_PARSER.parse(text))
    except lark.UnexpectedInput as error:
        raise _complaint(text, error) from None
    except lark.exceptions.VisitError as error:
        if isinstance(error.orig_exc, SoqlError):
            raise error.orig_exc from None
        raise
    assert isinstance(tree, Query)
    return tree


@lru_cache(maxsize=512)
def parse_condition(text: str) -> WhereCondition:
    """The tree of what could stand after `WHERE`. Raises `SoqlError` (MALFORMED_QUERY)."""
    condition = parse_query(f"SELECT Id FROM Anything WHERE {text}").where
    assert condition is not None
    return condition
