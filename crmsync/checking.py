"""The doctor: what is wrong or odd about a config, by itself and against the CRMs."""

from __future__ import annotations

from datetime import date
from typing import Any

from crmsync.config import Config, connectors
from crmsync.ending import DONE, FAILED, WRONG
from crmsync.errors import ConfigError, Unavailable
from crmsync.lint import lint
from crmsync.model import KINDS, Stop
from crmsync.scoring import golden


def checked(config: Config, today: date, stop: Stop | None) -> dict[str, Any]:
    """What is wrong (`problems`), odd (`warnings`) or worth a look (`notes`); with `stop`, each CRM is asked too."""
    findings = lint(config, kinds_of(config), today, config.fields)
    problems = [*golden(config, config.zone), *(each.sentence for each in findings if each.level == "error")]
    if not config.crms:
        problems.append(f"the config names no CRM; add a table [{'] or ['.join(sorted(connectors()))}]")
    crms = {crm: _asked(config, crm, stop) for crm in config.crms} if stop else {}
    wrong = bool(problems) or any(each["problems"] for each in crms.values())
    unreached = any(not each["reached"] for each in crms.values())
    return {
        "ok": not wrong and not unreached,
        "rules": len(config.rules()),
        "golden_leads": len(config.test),
        "problems": problems,
        "warnings": [each.sentence for each in findings if each.level == "warning"],
        "notes": [each.sentence for each in findings if each.level == "note"],
        "crms": crms,
        "exit_code": WRONG if wrong else FAILED if unreached else DONE,
    }


def kinds_of(config: Config) -> set[str]:
    """Every kind of activity that the config's CRMs may bring."""
    feeds = [feed for table in config.crms.values() for feed in getattr(table, "activities", ())]
    return {*KINDS, *(feed.kind for feed in feeds)}


def _asked(config: Config, crm: str, stop: Stop) -> dict[str, Any]:
    connector = connectors()[crm].connect(config.crms[crm], config.field_map(crm), {}, stop)
    try:
        found = connector.check()
        return {"reached": True, "account": found.account, "problems": found.problems, "notes": found.notes}
    except Unavailable as error:
        return {"reached": False, "account": "", "problems": (), "notes": (f"not reached: {error}",)}
    except ConfigError as error:
        return {"reached": True, "account": "", "problems": error.problems, "notes": ()}
    finally:
        connector.close()
