"""Two models that use everything, and people who meet it: laws hold for them too, without examples being drawn."""

from __future__ import annotations

from tests.support.scoring import model
from tests.support.scoring_strategies import EMAILS, KINDS, TITLES, instant

RULES = """
[[fit]]
name = "Boss"
points = 12.5
when = { field = "title", seniority_at_least = "director" }
group = "f"

[[fit]]
name = "Sells or buys"
points = 7
when = { any = [{ field = "title", department = ["sales"] }, { field = "title", contains = "procurement" }] }
group = "f"

[[fit]]
name = "Size"
points = 9
when = { all = [{ field = "employees", gt = 40 }, { not = { field = "email", free_mail = true } }] }

[[fit]]
name = "Stack"
points = 4
when = { field = "stack", has_all = ["kafka", "sap"] }
segments = ["big"]

[[fit]]
name = "Renewal"
points = -6
when = { field = "renewal", within = "30d" }

[[fit]]
name = "Renewal soon"
points = 3
when = { field = "renewal", within_next = "10d" }

[[behavior]]
name = "Pricing"
points = 8
on = ["page_viewed"]
where = { url = { contains = "pricing" } }
decay = { half_life = "9d" }
max_per_week = 2
channel = "web"

[[behavior]]
name = "Long visits"
points = 5
on = ["page_viewed", "form_submitted"]
at_least_sum = { seconds = 70 }
window = "40d"
max_per_day = 1
channel = "web"

[[behavior]]
name = "Opened"
points = 2
on = ["email_opened"]
decay = { linear = "60d" }
max_times = 2
cap = 3
group = "g"

[[behavior]]
name = "Clicked"
points = 6
on = ["email_clicked"]
decay = { steps = { 5d = 80, 15d = 50, 40d = 12.5 } }
max_per_month = 2
distinct_days = true
group = "g"
when = { field = "vip", is = true }

[[behavior]]
name = "Sent and unread"
points = -3
on = ["email_sent"]
at_least = 2
unless = { on = ["email_opened"], window = "30d" }
channel = "mail"

[[behavior]]
name = "Form"
points = 11
on = ["form_submitted"]
window = "60d"
channel = "mail"

[[inactivity]]
name = "Quiet"
points = -4
after = "10d"
every = "7d"
since = "created"
max_times = 3

[[inactivity]]
name = "No form"
points = -1
after = "20d"
on = ["form_submitted"]

[[sequence]]
name = "Read, then asked"
points = 10
within = "30d"
window = "70d"
decay = { half_life = "20d" }
steps = [{ on = ["page_viewed"], times = 2, distinct_days = true }, { on = ["form_submitted"] }]

[[pattern]]
name = "Busy"
points = 9
on = ["page_viewed", "email_clicked"]
times = 2
days = 2
within = "14d"
covering = [{ on = ["email_opened"] }]
decay = { linear = "50d" }

[[disqualify]]
name = "Rival"
when = { field = "email", domain_list = "rivals" }

[[disqualify]]
name = "Left"
on = "email_sent"
where = { seconds = { gte = 900 } }
window = "30d"
unless = { on = "form_submitted", window = "20d" }

[[segment]]
name = "big"
when = { field = "employees", gt = 200 }
weights = { fit = 0.5 }
bands = { cold = 0, warm = 8, mql = { at = 16, min_behavior = 4 } }

[channels.web]
cap = 30

[channels.mail]
floor = -5

[groups.f]
cap = 15

[groups.g]
cap = 9

[lists]
rivals = ["rival.example"]

[bands]
cold = 0
warm = { at = 9, drop_below = 5 }
mql = { at = 25, min_fit = 2 }

[machine_clicks]
links = 2
within = "1s"
"""

LEARNED = """
[score]
decimals = 2
fit = { floor = -2 }
behavior = { cap = 60, floor = -10 }
total = { cap = 55, floor = -8 }

[weights]
fit = 0.75
behavior = 1

[learned]
mode = "hybrid"
clamp = 6.5
adjustment = [
    { name = "free", points = -9, when = { field = "email", free_mail = true } },
    { name = "boss", points = 5, when = { field = "title", seniority_at_least = "director" } },
]
"""

RICH = {"rules": model(RULES), "rules and learned": model(RULES + LEARNED)}

PREVIOUS = [None, "cold", "warm", "mql", None, "warm", None, "cold", "mql", "warm"]


def _done(number):
    """What somebody did, by time: some of it in one second, some still to come, the same thing more than once."""
    for place in range(3 + number):
        day = (number * 13 + place * place * 5) % 76 - 1
        second = (0, 1, 43_200, 43_201, 86_399)[(number + place) % 5]
        given = ({"url": "/pricing", "seconds": 60}, {}, {"url": "/Demo"}, {"url": "/pricing/x", "seconds": 900})
        yield instant(day, second), KINDS[(number * 2 + place) % 5], given[(number + place * 3) % 4]
    yield instant(number, 43_200), KINDS[number % 5], {"url": "/pricing", "seconds": 10}
    yield instant(number + 2, 60), KINDS[number % 5], {"url": "/pricing", "seconds": 10}


def _fields(number):
    some = {
        "employees": (5, 50, 200, 201, 5000, "1,201", "many")[number % 7],
        "title": TITLES[number % 5],
        "email": EMAILS[number * 3 % 5],
        "stack": (("Kafka",), ("sap", "kafka"), "SAP;Kafka")[number % 3],
        "vip": (True, "Yes", 0, "perhaps")[number % 4],
        "renewal": ("2026-11-14", "2026-11-25", "2026-10-21T23:30:00Z", "unknown", "2026-09-30")[number % 5],
        "created": ("2026-09-01", "2026-11-20", "someday")[number % 3],
    }
    return {name: value for place, (name, value) in enumerate(some.items()) if (number + place) % 6}


PEOPLE = [*((_fields(number), sorted(_done(number), key=lambda each: each[0])) for number in range(9)), ({}, [])]
