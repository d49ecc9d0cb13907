"""The text of a first config with every key: the example, fitted to whoever starts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crmsync.config.patch import NewRule, write_rule, write_value
from crmsync.config.starter.description import CRMS, Starter
from crmsync.config.starter.text import BAND, SCHEMA_LINE, list_customer_rules, write_stage
from crmsync.config.template import INSTANCE_URL, SALES, example_config, replace_keys

NO_OWNERS = """\
# No owners are assigned yet. To assign them, remove the "# " at the start of these lines, and write the addresses that
# your users have in the CRMs. `crmsync check --online` says whether the CRMs know each of them.
"""

BOTH_CRMS = "# These are the eight stages of a new HubSpot portal. A stage may have a value in only one CRM.\n"
_VALUE = r'(?:"[^"]*"|\{[^{}]*\})'


def write_full(start: Starter) -> str:
    """The whole example with what was chosen. Without `members` its pools and routes are comments.

    What is put in comes last, and from the bottom to the top: nothing that a CRM calls something is taken for the
    example's own.
    """
    text = example_config()
    for crm in CRMS:
        if crm not in start.crms:
            text = _without_crm(text, crm)
    text = _without_unmapped_rules(text, start)
    text = _with_members(text, start)
    text = _with_stages(text, start)
    text = _with_customer_rules(text, start)
    text = _with_fields(text, start)
    if "salesforce" in start.crms:
        text = _replace_line(text, "stage_field", start.stage_field)
        text = _replace_line(text, "instance_url", start.instance_url or INSTANCE_URL)
    text = text.rstrip("\n") + "\n"
    return f"{SCHEMA_LINE}\n{text}" if start.has_schema else text


def _replace_line(text: str, key: str, value: object) -> str:
    """The text with another value of a key, which keeps the comment on its line."""
    found = re.search(rf'(?m)^{key} = (?:"[^"\n]*"|\{{[^}}\n]*\}})', text)
    assert found, key
    return f"{text[: found.start()]}{key} = {write_value(value)}{text[found.end() :]}"


def _with_fields(text: str, start: Starter) -> str:
    found = re.search(r"(?m)^title = .*\n(?:^\w+ = .*\n)+", text)
    assert found
    lines = [f"{name} = {write_value(value)}\n" for name, value in start.mapped_fields().items()]
    return text[: found.start()] + "".join(lines) + text[found.end() :]


def _with_customer_rules(text: str, start: Starter) -> str:
    at = text.index('[[fit]]\nname = "Free-mail address"')
    rules = ["\n".join([*write_rule(NewRule("fit", rule, "")), "", ""]) for rule in list_customer_rules(start)]
    return text[:at] + "".join(rules) + text[at:]


def _with_stages(text: str, start: Starter) -> str:
    """The text with these stages; what explains a stage in a comment stays behind them."""
    found = re.search(r"(?m)^# stages as in your CRMs\.\n(?:.*\n)*?(?=# \[lifecycle\])", text)
    assert found
    explained = re.search(r"(?m)^# \[\[stage\]\].*\n(?:# .*\n)+", found[0])
    assert explained
    rows = [f"{write_stage(each)}\n\n" for each in start.stages]
    head = "# stages as in your CRMs. A stage may have a value in only one CRM.\n"
    return text[: found.start()] + head + "".join(rows) + explained[0] + "\n" + text[found.end() :]


def _with_members(text: str, start: Starter) -> str:
    if start.members:
        named = f'members = ["{SALES[0]}", "{SALES[1]}"]'
        return replace_keys(text, {named: f"members = {write_value(list(start.members))}"})
    return _without_owners(text)


def _without_owners(text: str) -> str:
    """The text with its pools and routes as comments: people who are made up must not look as if they were there."""
    start = text.index("[[owner_pool]]")
    end = text.index("\n\n\n", start)
    return text[:start] + NO_OWNERS + re.sub("(?m)^(?=.)", "# ", text[start:end]) + text[end:]


def _without_unmapped_rules(text: str, start: Starter) -> str:
    """The text without the rules for fields that no CRM has, and without what only these rules make true."""
    known = start.mapped_fields()
    for name in sorted({"title", "employees"} - known.keys()):
        rule = rf'(?m)^\[\[fit\]\]\nname = .*\npoints = .*\nwhen = \{{ field = "{name}".*\n\n'
        text = re.sub(rule, "", text)
    if not {"title", "employees"} <= known.keys():
        text = re.sub(r"(?s)# ── Test leads.*", "", text)
    if not {"title", "employees"} & known.keys() and not (known.keys() & start.customers.keys() & {"industry"}):
        text = replace_keys(text, {f"{BAND} = {{ at = 80, drop_below = 70, min_fit = 15 }}": f"{BAND} = 80"})
    return text


def _without_crm(text: str, crm: str) -> str:
    """The text without the table of a CRM, its fields and values, and the stages that it alone has."""
    text = replace_keys(_without_table(text, crm), {BOTH_CRMS: ""})
    text = re.sub(r"(?m)^# \[truth\](?:.*\n)+?\n", "", text)  # no CRM leads where there is only one
    text = re.sub(rf'\[\[stage\]\]\nname = "\w+"\nvalues = \{{ {crm} = {_VALUE} \}}\n\n', "", text)
    text = re.sub(rf"\b{crm} = {_VALUE}, |, {crm} = {_VALUE}", "", text)
    return re.sub(rf'(source_of_truth = .*?)(?:"{crm}", |, "{crm}")', r"\1", text)


def _without_table(text: str, crm: str) -> str:
    return "".join(f"{line}\n" for line in _lines_outside(text, crm))


def _lines_outside(text: str, crm: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines():
        if header := re.match(r"\[+([\w.]+)\]", line):
            inside = header[1].split(".")[0] == crm
        elif line.startswith("# ──"):
            inside = False
        if not inside:
            yield line
