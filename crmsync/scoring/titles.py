"""Job titles read as seniority and department: "VP, IT Security" is a vp in it and security."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import regex

from crmsync.config.conditions import SENIORITIES
from crmsync.config.model import Titles

_SENIORITY: Mapping[str, str] = {
    "student": (
        r"student\w*|étudiant\w*|estudiante|studente\w*|werkstudent\w*|intern|interns|internship|praktikant\w*"
        r"|trainee|stagiaire|apprenti\w*|apprentice|auszubildende\w*|azubi|becari[oa]|tirocinante|pupil"
        r"|schüler\w*"
    ),
    "entry": r"junior|jr|entry level|graduate",
    "manager": (
        r"manager\w*|mgr|supervisor|team ?lead|teamleiter\w*|gruppenleiter\w*|leader|foreman|responsable"
        r"|gerente|encargad[oa]|jefe|jefa|kierownik|superintendent"
    ),
    "director": (
        r"director\w*|dir|directeur|directrice|direttore|direttrice|direktor\w*|head|leiter\w*|leitung"
        r"|\w+leiter\w*|\w+leitung|chief of staff|chef de service|principal"
    ),
    "vp": r"vp|svp|evp|avp|rvp|gvp|vice ?president\w*|vice[- ]président\w*|vicepresident\w*|vizepräsident\w*",
    "c_level": (
        r"c[ei]o|cfo|cto|cmo|coo|cro|cso|ciso|cpo|cdo|cxo|chro|cco|chief|c[- ]level|c[- ]suite|founder"
        r"|co[- ]?founder|cofounder|owner|co[- ]?owner|inhaber\w*|président\w*|president|presidente|partner"
        r"|managing director|managing partner|general manager|geschäftsführ\w*|vorstand\w*|vorständ\w*"
        r"|prokurist\w*|pdg|dg|directeur général|directrice générale|director general|directora general"
        r"|consejer[oa] delegad[oa]|amministratore delegato|gérant\w*|chair|chairman|chairwoman|chairperson"
        r"|proprietor|principal owner|executive director"
    ),
}
"""How each level shows in a title. Ordinary words for it; whoever has none of them is `staff`."""

_NOT_THE_BOSS = (
    r"(?:assistant|assistent\w*|assistante|secretary|secrétaire|aide|advisor|adviser|analyst|pa|ea)"
    r"(?:,| to| for| of| of the| to the| der| des| du| de la| an die)+ .*"
    r"|(?:executive|personal|administrative) assistant\b.*"
    r"|(?:product|process|data|account|home|business|content|system|risk|control|scrum) owner\w*"
    r"|(?:channel|alliance|business|hr|people|talent|technology|delivery|learning) partner\w*(?: manager)?"
    r"|partner (?:manager|marketing|success|sales)\w*|account executive\w*|(?:lead|leads) generation"
    r"|student (?:affairs|services|success|recruitment|life)|graduate (?:school|programs?|recruitment|studies)"
    r"|intern(?:al|ational)\w*|chief of staff"
)
"""Wordings whose words mean something else: the assistant to a CEO is no CEO, a product owner owns nothing."""

_DEPARTMENT: Mapping[str, str] = {
    "it": (
        r"it|i\.t\.|information technology|information systems|informatik|informatique|informática|edv|cio"
        r"|sysadmin|system administrator|systems? engineer\w*|infrastructure|network\w*|help ?desk|cloud"
        r"|devops|sre"
    ),
    "security": (
        r"\w*security|sicherheit|informationssicherheit|it-sicherheit|sécurité|seguridad|sicurezza|ciso"
        r"|cyber\w*|infosec|soc analyst"
    ),
    "engineering": (
        r"engineer\w*|engineering|developer\w*|entwickl\w*|entwicklung|software\w*|cto|technology|r&d"
        r"|programmer\w*|ingénieur\w*|ingenier\w*|ingenieur\w*|architect|technical|développeu\w*"
    ),
    "data": r"data|daten\w*|analytics|business intelligence|bi|machine learning|ai|cdo|data scientist|statistic\w*",
    "product": r"product\w*|produkt\w*|produit|ux|cpo",
    "operations": (
        r"operations?|ops|coo|betrieb\w*|logistics?|logistik|supply chain|manufacturing|production|plant"
        r"|facilit\w+|opérations|operaciones|revops|warehouse|quality"
    ),
    "finance": (
        r"financ\w*|finanz\w*|cfo|accounting|accountant|buchhalt\w*|controller|controlling|treasur\w*|tax"
        r"|audit\w*|comptab\w*|contabilidad|fp&a|rechnungswesen|billing|payroll"
    ),
    "procurement": (
        r"procurement|purchas\w*|buyer|sourcing|einkauf\w*|einkäufer\w*|achats?|acheteu\w*|compras"
        r"|vendor management|category manager|beschaffung\w*"
    ),
    "marketing": (
        r"marketing|marketer|cmo|brand|communications?|demand gen\w*|growth|seo|pr|content|kommunikation"
        r"|mercadeo|events?"
    ),
    "sales": (
        r"sales|vertrieb\w*|ventes|commercial\w*|ventas|vendite|business development|bdr|sdr"
        r"|account executive\w*|account manager\w*|cro|revenue|key account\w*|außendienst"
    ),
    "support": (
        r"support|customer (?:success|service|care|experience)|kundenservice|kundendienst|service client"
        r"|client services?"
    ),
    "hr": (
        r"hr|human resources|people|talent|recruit\w*|personal(?:wesen|abteilung|leit\w*|referent\w*)|chro"
        r"|ressources humaines|recursos humanos|people ops|learning and development"
    ),
    "legal": r"legal|counsel|lawyer|attorney|compliance|recht\w*|jurist\w*|juridique|privacy|dpo|paralegal",
    "research": r"research\w*|scien\w+|forsch\w*|laborator\w*|lab|r&d|clinical|postdoc\w*",
    "education": (
        r"teacher|professor\w*|lecturer|lehrer\w*|dozent\w*|faculty|academic|universit\w*|school|dean|tutor"
        r"|student\w*|étudiant\w*|estudiante|werkstudent\w*"
    ),
    "general_management": (
        r"ceo|founder|co[- ]?founder|cofounder"
        r"|(?<!product )(?<!process )(?<!data )(?<!account )(?<!business )owner|co[- ]?owner|inhaber\w*"
        r"|geschäftsführ\w*|managing director|managing partner|general manager|pdg"
        r"|(?<!vice )(?<!vice-)president|chairman|chairwoman|chairperson|board|vorstand\w*|directeur général"
        r"|directrice générale|director general|directora general|gérant\w*"
    ),
}


class Title(NamedTuple):
    """What a title says; `seniority` is one of `SENIORITIES`."""

    seniority: str
    departments: frozenset[str]


def _words(pattern: str) -> regex.Pattern[str]:
    return regex.compile(rf"(?<![\w])(?:{pattern})(?![\w])", regex.IGNORECASE)


_SENIORITY_WORDS = {level: _words(pattern) for level, pattern in _SENIORITY.items()}
_DEPARTMENT_WORDS = {department: _words(pattern) for department, pattern in _DEPARTMENT.items()}
_NOT_THE_BOSS_WORDS = _words(_NOT_THE_BOSS)
_VICE = _words(r"(?:vice|vize)[- ]?(?:president\w*|président\w*|präsident\w*)")
_FROM_THE_TOP = tuple(reversed(SENIORITIES))


def _alias(spellings: Sequence[str]) -> regex.Pattern[str]:
    return _words("|".join(regex.escape(each.strip().casefold()) for each in spellings))


def title_reader(titles: Titles) -> TitleReader:
    """A reader of titles that knows the admin's own words, which come before the built-in ones."""
    return _reader(
        tuple((level, tuple(words)) for level, words in titles.seniority.items()),
        tuple((department, tuple(words)) for department, words in titles.department.items()),
    )


Aliases = tuple[tuple[str, tuple[str, ...]], ...]
Words = tuple[tuple[str, regex.Pattern[str]], ...]


@lru_cache(maxsize=64)
def _reader(seniority: Aliases, department: Aliases) -> TitleReader:
    return TitleReader(
        tuple((level, _alias(words)) for level, words in seniority),
        tuple((each, _alias(words)) for each, words in department),
    )


class TitleReader:
    """Reads titles, each once; the admin's own words come first."""

    def __init__(self, seniority: Words, department: Words) -> None:
        self.seniority, self.department = seniority, department
        self.read = lru_cache(maxsize=50_000)(self._read)

    def _read(self, text: str) -> Title:
        text = text.casefold()[:300]
        return Title(self._level(text), self._departments(text))

    def _level(self, text: str) -> str:
        own = [level for level, words in self.seniority if words.search(text)]
        if own:
            return max(own, key=SENIORITIES.index)
        # Or a vice president would read as a president.
        plain = _VICE.sub("vp", _NOT_THE_BOSS_WORDS.sub(_told_apart, text))
        # First of all: a director's intern is no director.
        if _SENIORITY_WORDS["student"].search(plain):
            return "student"
        found = (level for level in _FROM_THE_TOP if level in _SENIORITY and _SENIORITY_WORDS[level].search(plain))
        return next(found, "staff")

    def _departments(self, text: str) -> frozenset[str]:
        own = {each for each, words in self.department if words.search(text)}
        return frozenset(own | {each for each, words in _DEPARTMENT_WORDS.items() if words.search(text)})


def _told_apart(found: regex.Match[str]) -> str:
    """What is left of such a wording: a partner manager manages, a chief of staff directs, an assistant is staff."""
    said = found[0]
    if said == "chief of staff":
        return "director"
    return "manager" if "manager" in said and "assist" not in said else " "
