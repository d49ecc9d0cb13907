"""Automatic answers and calls that reached nobody are told from conversations."""

import pytest

from connectors.conversations import is_automatic_mail, is_unanswered


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Your demo", "AUTOMATIC REPLY: Your demo", "Automatic reply", "Auto-Reply: Your demo",
        "[EXTERNAL] Automatic reply: Your demo", "Out of Office Re: demo", "Out of office", "OOO: back on Monday",
        "Out of Office AutoReply: Your demo", "I am out of the office until Monday", "[Auto-Reply] Your demo",
        "Your demo [Auto-Reply]", "AUTO: Jane Doe is out of the office (returning 12/01/2026)",
        "On vacation until 3 January", "Undeliverable: Your demo",
        "Auto: Out of the office", "EXTERNAL: Automatic reply: Your demo", "On leave until 5 May",
        "Maternity leave Re: Your demo", "Vacation: Re: Your demo", "Vacation reply: Your demo",
        "Urlaub: AW: Ihre Demo", "Bin im Urlaub", "Urlaubsbedingt abwesend",
        "Estoy fuera de la oficina", "Sono fuori ufficio",
        "De vacaciones: Re: Su demo", "Op vakantie: Re: Uw demo", "Ausência do escritório", "Автовідповідь: демо",
        "Automatische Antwort: Ihre Demo", "Abwesenheitsnotiz: Ihre Demo", "Außer Haus", "Ich bin im Urlaub bis 12.12.",
        "Réponse automatique : Votre démo", "Reponse automatique: Votre demo", "Message d’absence",
        "Absence du bureau : Votre démo", "Respuesta automática: Su demo", "Fuera de la oficina",
        "Risposta automatica: Demo", "Fuori ufficio", "Resposta automática: Demo", "Fora do escritório",
        "Automatisch antwoord: Uw demo", "Afwezig: Uw demo", "Automatiskt svar: Demo", "Frånvaro: Demo",
        "Automatisk svar: Demo", "Autosvar: Demo", "Fraværende", "Automaattinen vastaus: Demo", "Poissa: Demo",
        "Automatyczna odpowiedź: Demo", "Autoodpowiedź", "Poza biurem", "Otomatik yanıt: Demo", "OTOMATİK YANIT: Demo",
        "Ofis dışında: Demo", "Автоответ: Демо", "自动回复: Re", "自動返信：デモ", "【自動返信】お問い合わせ",
        "不在通知", "자동 회신: 데모", "부재중: 데모",
        # The question is that of the e-mail which is answered.
        "Out of office: can we meet?", "OOO Re: can we meet?", "Automatic reply - can we meet?",
        "OOO next week Re: can we meet?", "Abwesend: Können wir reden?", "En vacances : on se voit ?",
        # Somebody tells that they are away.
        "On vacation", "On PTO", "Im Urlaub", "En vacances", "En congé", "De vacaciones", "In ferie", "De férias",
        "Op vakantie", "På semester", "På ferie", "Lomalla", "Na urlopie", "İzindeyim", "В отпуске", "休暇中", "休假中",
        "Vacances Re: Votre démo", "Urlop: Odp: Demo", "Loma: VS: Demo", "Semester: SV: Demo", "İzin: Ynt: Demo",
    ],
)  # fmt: skip
def test_an_automatic_answer_is_known_by_its_subject(subject):
    assert is_automatic_mail(subject)


@pytest.mark.parametrize(
    "subject",
    [
        "", "Re: Your demo", "Automatic doors", "Re: Automatic doors", "Re: our automatic replies feature",
        "Automatic replies in your product", "Automatic reply feature question", "Auto reply rules in HubSpot",
        "Automatic response rate dashboards", "Re: Automatic reply: Your demo", "AW: Automatische Antwort: Ihre Demo",
        "自动回复功能咨询", "Out of office furniture quote", "Out of office hours support", "On holiday homes",
        "Vacation rentals demo", "Absence management software", "Abwesenheitsverwaltung: Angebot", "Auto: new cars",
        "Who is out of the office?", "Undelivered goods",
        "On leave management", "Maternity leave - who will cover?", "Vacation", "Ferie", "Urlaub: Angebot",
        "Delivery failure: our order 17", "外出支援サービス", "OOOPS", "Urlaub im Schwarzwald",
        # A question of their own.
        "OOO next week – can we meet?", "Out of office until Monday. Call on Tuesday?", "OOO today, free tomorrow?",
        "Abwesend bis Montag - können wir reden?", "En vacances jusqu'à lundi, on se voit mardi ?",
        "Fuera de la oficina hasta el lunes, ¿hablamos?", "På semester - kan vi ses?", "Lomalla, soitanko?",
        "Jane is out of the office, can we meet?", "休暇中、会えますか？", "[EXTERNAL] OOO next week - can we meet?",
        # A topic.
        "Urlaub", "Vacances", "Vacaciones", "Férias", "Vakantie", "Semester", "Loma", "Urlop", "Tatil", "İzin",
        "Отпуск", "休暇", "休假", "Holiday", "Leave", "Congés", "Vacances: tarifs", "Semester: priser",
    ],
)  # fmt: skip
def test_what_is_only_about_automatic_answers_is_none(subject):
    assert not is_automatic_mail(subject)


@pytest.mark.parametrize(
    ("headers", "automatic"),
    [
        ("From: a@b.example\nAuto-Submitted: auto-replied (vacation)\n", True),
        ("Received: x\r\nX-Autoreply: yes\r\n", True),
        ("Auto-Submitted: no\n", False),
        # Exchange asks with it for no answer, on what people write too.
        ("X-Auto-Response-Suppress: All\n", False),
        ("Subject: About Auto-Submitted: auto-replied\n", False),
    ],
)
def test_the_headers_tell_where_the_subject_does_not(headers, automatic):
    assert is_automatic_mail("Re: Your demo", headers) is automatic


@pytest.mark.parametrize(
    "outcome",
    [
        "No answer", "NO_ANSWER", "Busy", "Left voicemail", "LEFT_VOICEMAIL", "Wrong number",
        "No Answer - Left Voicemail", "Did not answer", "Not connected", "Not reached", "Left message",
        "Bad Number", "Nicht erreicht", "Unable to reach", "Disconnected", "Canceled", "Call rejected", "AB besprochen",
        "Нет ответа", "Не дозвонились", "無応答", "Nobody reached",
        "Niemanden erreicht", "Besetzt", "Mailbox", "Pas de réponse", "Sin respuesta", "MEŞGUL", "不在", "부재중",
    ],
)  # fmt: skip
def test_an_outcome_that_reached_nobody(outcome):
    assert is_unanswered(outcome)


@pytest.mark.parametrize(
    "outcome",
    [
        "", "Connected", "Left live message", "Reached", "Erreicht", "Gespräch geführt", "Meeting set",
        "Not interested", "Connected - busy, call back", "Spoke with gatekeeper", "Business owner",
        "Call back later", "Reached, not available for a demo", "Meeting booked - no answer on budget",
        "Canceled the old contract", "Discussed voicemail product",
    ],
)  # fmt: skip
def test_an_outcome_of_a_conversation(outcome):
    assert not is_unanswered(outcome)
