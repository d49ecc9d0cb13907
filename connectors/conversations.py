"""What e-mails and calls tell of themselves: automatic answers, calls that reached nobody, the id of a message."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from crmsync.model import SPECIAL_CASES

AUTOMATIC, ATTEMPTED = "email_auto_replied", "call_attempted"

MAILS, CALLS = SPECIAL_CASES[AUTOMATIC], SPECIAL_CASES[ATTEMPTED]
"""The kinds of activity that may be an automatic answer, and those that may have reached nobody."""

_ALIKE = str.maketrans(
    {"’": "'", "‘": "'", "–": "-", "—": "-", "−": "-", "【": "[", "】": "]", "「": "[", "」": "]", "ı": "i"}
)


def _fold(text: str) -> str:
    """Text in one case and without accents, with one kind of blank, apostrophe, dash and bracket."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(each for each in folded if unicodedata.category(each) != "Mn")
    return " ".join(plain.translate(_ALIKE).split())


_ANSWERS = (
    r"auto(?:mat(?:ic|ed))?[ -]?(?:e-?mail[ -]?)?(?:reply|response|answer|responder)|autoreply",
    r"automatische (?:e-?mail-?)?(?:antwort|rückantwort|rückmeldung|reaktion)|auto(?:m\.)?[ -]?antwort"
    r"|automatisch (?:antwoord|bericht)",
    r"réponse automatique|message automatique|respuesta automática|mensaje automático|resposta autom[áà]tica",
    r"mensagem automática|risposta automatica|messaggio automatico|automatiskt? svar|autosvar",
    r"automaattinen vastaus|automaattivastaus|automatyczna odpowiedź|odpowiedź automatyczna|autoodpowiedź",
    r"otomatik (?:yanıt|cevap)|automatická odpov[ěe]ď|automatikus válasz|răspuns automat|автоматичен отговор",
    r"автоматический ответ|автоответ|авто(?:матична )?відповідь|αυτόματη απάντηση|automatski odgovor|samodejni odgovor",
    r"automaatvastus|automātiskā atbilde|automatinis atsakymas|תשובה אוטומטית|מענה אוטומטי|رد تلقائي",
    r"(?:การ)?ตอบกลับอัตโนมัติ|trả lời tự động|balasan otomatis",
    r"自動(?:応答|返信|回覆|回復|答覆)(?:メール)?|自动(?:回复|答复|应答)|자동 ?(?:회신|응답|답장)",
)
_ABSENCES = (
    r"(?:i am |i'm |currently )*(?:out[ -]of[ -](?:the[ -])?office|ooo|oof|away from (?:the|my) (?:office|desk))",
    r"(?:vacation|holiday) (?:auto[ -]?)?(?:reply|response|responder)",
    r"(?:automatische )?abwesenheits?-?(?:notiz|nachricht|meldung|mitteilung|benachrichtigung|assistent|info)",
    r"abwesenheit|(?:(?:ich )?bin )?(?:derzeit |momentan |urlaubsbedingt )?(?:abwesend|außer haus|nicht im (?:büro"
    r"|hause?))|(?:message |notification |avis )?(?:d'absence|absence|absente?)(?: du bureau)?",
    r"(?:estoy )?fuera de (?:la )?oficina|ausencia|ausente(?: de la oficina)?|(?:sono )?fuori (?:ufficio|sede)"
    r"|assente(?: dall'ufficio)?",
    r"fora d[oe] escritório|ausência(?: temporária| do escritório)?|ausente do escritório|afwezig(?:heids?(?:bericht"
    r"|melding|assistent))?",
    r"afwezigheid|(?:ik ben )?(?:niet (?:aanwezig|op kantoor)|buiten kantoor)|frånvaro(?:meddelande)?|frånvarande",
    r"(?:ej|inte) på kontoret|fraværs?(?:besked|melding)?|fraværende|ikke (?:til stede|på kontoret)",
    r"poissa(?: toimistosta)?|poissaolo(?:ilmoitus|viesti)?|en ole toimistolla|poza biurem|nieobecność",
    r"nieobecn[ya]|ofis dışında(?:yım)?|ofiste değilim|mimo kancelář|nepřítomnost|házon kívül|вне офиса",
    r"不在(?:通知|連絡|のお知らせ)?|外出(?:中)?|不在办公室|休(?:假|暇)中|부재 ?중(?: ?알림)?|부재 ?알림",
)
_AWAY = (
    r"(?:i am |i'm |currently )*on (?:vacation|holidays?|pto|(?:(?:annual|parental|maternity|paternity|sick) )?leave)",
    r"(?:(?:ich )?bin )?im urlaub|(?:je suis )?en (?:vacances|congés?)|(?:estoy )?de vacaciones|(?:sono )?in ferie",
    r"(?:estou )?de férias|(?:ik ben )?(?:op|met) vakantie|(?:jag är )?på semester|(?:jeg er )?på ferie",
    r"(?:olen )?lomalla|(?:jestem )?na urlopie|(?:izinde|tatilde)(?:yim)?|(?:jsem )?na dovolené",
    r"szabadságon(?: vagyok)?|în concediu|(?:я )?в отпуске|(?:я )?у відпустці|σε άδεια",
)
_FAILURES = (
    r"undeliverable|undelivered mail returned to sender|mail delivery failed|delivery status notification"
    r"|unzustellbar|non remis|onbestelbaar|no se puede entregar|não entregue",
)

_HOLIDAYS = (
    r"(?:away|(?:(?:annual|parental|maternity|paternity|sick) )?leave|vacation|holidays?|urlaub|vacances|congés?"
    r"|vacaciones|ferie|férias|vakantie|semester|loma|urlop|tatil|izin|dovolená|szabadság|concediu|отпуск|відпустка"
    r"|άδεια|休假|休暇)"
)
_TAG = r"(?:[\[(<*]+ ?(?:external|extern[oea]?|ext|spam) ?[\])>*]+:? ?|(?:external|extern[oea]?|ext|auto): ?)"
_ENDS = (
    r"(?: ?$| ?[:,;.!|(\[]| -| (?:re|aw|antw|sv|vs|rif|odp|ynt)\b"
    r"| (?:until|till?|from|through|today|this week|next week|bis|vom|ab|jusqu|hasta|fino|até|tot|\d))"
)
_NOUN = r"(?: (?:auto(?:matic)?[ -]?)?(?:reply|response|message|notification|notice)| auto)?"
_TELLS, _ANSWER = _fold("|".join((*_ABSENCES, *_AWAY))), _fold("|".join(_ANSWERS))
_ANY = _fold("|".join((*_ANSWERS, *_FAILURES))) + "|" + _TELLS
_REPLY = r"(?:re|aw|antw|sv|vs|rif|odp|ynt)"
_OFFICE = r"(?:is|ist) (?:currently )?(?:out of (?:the )?office|ausser haus)"

_AUTOMATIC_SUBJECT = re.compile(
    # The words in brackets, or with nothing or what they answer behind them: "Automatic doors" goes on in another way.
    rf"^(?:{_TAG})*(?:[\[(*]+ ?(?:{_ANY}) ?[\])*]+|(?:{_ANY}){_NOUN}{_ENDS})"
    rf"|^(?:auto: )?[^?:]{{2,60}} {_OFFICE}{_ENDS}"
    # "Vacation" is a topic that people write about, too, where "on vacation" tells that somebody is: only with the
    # e-mail that it answers.
    rf"|^(?:{_TAG})*(?:{_fold(_HOLIDAYS)}) ?:? {_REPLY} ?:"
    rf"|[\[(] ?(?:{_ANSWER}|out of (?:the )?office) ?[\])]$"
)
_ASKS = re.compile(
    # A question of their own: before a colon or "Re", behind which is the e-mail that is answered.
    rf"^(?:{_TAG})*(?:{_TELLS}|[^?:]{{2,60}} {_OFFICE})(?! ?:)(?:(?! {_REPLY}\b|:).)*[?؟]"
)
_AUTOMATIC_HEADER = re.compile(
    # RFC 3834, and what was written before it.
    r"^(?:auto-submitted: *auto-(?:replied|generated)|x-auto(?:reply|respond|response)(?:-from)?:"
    r"|precedence: *auto_reply)",
    re.IGNORECASE | re.MULTILINE,
)

_REACHED = re.compile(
    r"\b(?:connected|spoke|talked|answered|reached|discussed|live message|gesprach|erreicht"
    r"|(?:meeting|demo|appointment) (?:booked|set|scheduled))\b"
)
_NOT_REACHED = re.compile(
    r"\b(?:not|didn'?t|never|nobody|no one|un|nicht|niemand(?:en)?|could(?:n'?t| not)|keine[nr]?) ?(?:yet )?"
    r"(?:be )?(?:connect(?:ed)?|answer(?:ed)?|reach(?:ed|able)?|erreicht|erreichbar)\b"
)
_ALONE = re.compile(r"(?:abandoned|cancell?ed|rejected|disconnected|ringing)")
"""What says in other company something else: "canceled the contract"."""

_NOBODY = re.compile(
    _fold(
        r"\b(?:no (?:answer|response|reply|one|contact|pick ?up)|no-answer|unanswered|unreachable|unavailable|busy"
        r"|not (?:available|reached|picked up|home|in service)|did(?:n'?t| not) (?:answer|pick ?up|connect)"
        r"|voice ?-?mail|answering machine|(?:left )?vm|lvm|left (?:a )?message|missed|failed"
        r"|unable to (?:reach|connect|contact)|(?:number|line) disconnected|hung up before (?:answer|pick ?up)\w*"
        r"|call (?:rejected|declined|abandoned|cancell?ed)"
        r"|(?:wrong|bad|invalid|incorrect|disconnected) (?:phone )?(?:number|no\.?)|number (?:not|out of|no longer).*"
        r"|keine antwort|kein anschluss|besetzt|mailbox|anrufbeantworter|ab besprochen|nicht (?:erreicht|erreichbar"
        r"|abgenommen)"
        r"|niemand(?:en)? erreicht|falsche (?:ruf|telefon)?nummer"
        r"|pas de réponse|sans réponse|ne répond pas|occupée?|messagerie(?: vocale)?|répondeur|injoignable"
        r"|(?:mauvais|faux) numéro|sin respuesta|no (?:contesta|contestó|responde|respondió)|ocupado|buzón(?: de voz)?"
        r"|número (?:equivocado|incorrecto|errado)|nessuna risposta|non risponde|occupato|segreteria(?: telefonica)?"
        r"|numero (?:errato|sbagliato)|sem resposta|não (?:atende|atendeu)|caixa postal|correio de voz"
        r"|geen (?:antwoord|gehoor)|niet (?:opgenomen|bereikt|bereikbaar)|in gesprek|bezet|verkeerd nummer"
        r"|(?:inget|ej|intet|ingen|ikke) svar|svara(?:de|r) (?:inte|ej)|upptaget|optaget|opptatt|röstbrevlåda"
        r"|telefonsvarer|talepost|(?:fel|feil|forkert) nummer|ei (?:vastausta|vastannut|vastaa)|varattu"
        r"|(?:puhelin)?vastaaja|väärä numero|brak odpowiedzi|nie (?:odebrał|odebrała|odbiera|odpowiada)|zajęt[ey]"
        r"|poczta głosowa|(?:zły|błędny) numer|cevap (?:yok|vermedi)|yanıt yok|meşgul|sesli mesaj|yanlış numara)\b"
        r"|нет ответа|не (?:дозвонил\w*|отвечает|ответил[аи]?|берет трубку)|занято|недоступен|неверный номер"
        r"|автоответчик"
        r"|голосовая почта|無応答|応答なし|不在|留守|話し中|番号(?:違い|間違い)|間違い電話|无人接听|無人接聽|未接|占线"
        r"|忙线|忙線|语音信箱|語音信箱"
        r"|号码错误|錯誤號碼|부재|응답 ?없음|통화 ?중|음성 ?사서함|잘못된 번호"
    )
)


@lru_cache(maxsize=10_000)
def is_automatic_subject(subject: str) -> bool:
    """Whether an e-mail with this subject was written by a machine: an out-of-office, an automatic answer.

    `Re: Automatic reply` is somebody's answer to one, `Automatic replies in your product` a question, and so is
    `OOO next week - can we meet?`; in `Out of office: can we meet?` it is the question that is answered.
    """
    text = _fold(subject)
    return _AUTOMATIC_SUBJECT.search(text) is not None and _ASKS.search(text) is None


def is_automatic_mail(subject: str, headers: str = "") -> bool:
    """The same of an e-mail of which the internet headers may be known, too."""
    return is_automatic_subject(subject) or _AUTOMATIC_HEADER.search(headers) is not None


def plain_message_id(text: str) -> str | None:
    """A Message-ID as every CRM has it, without the angle brackets that some keep; `None` where there is none."""
    return text.strip().removeprefix("<").removesuffix(">").strip() or None


@lru_cache(maxsize=10_000)
def is_unanswered(outcome: str) -> bool:
    """Whether a call with this outcome (a label such as "No answer" or `LEFT_VOICEMAIL`) reached nobody."""
    text = _fold(outcome.replace("_", " "))
    if _REACHED.search(_NOT_REACHED.sub("", text)):
        return False
    return (
        _ALONE.fullmatch(text) is not None or _NOT_REACHED.search(text) is not None or _NOBODY.search(text) is not None
    )
