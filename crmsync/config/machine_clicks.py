"""The `[machine_clicks]` table: which opens and clicks no person made."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from crmsync.config.tables import Duration, Table


class MachineClicks(Table):
    """Opens and clicks that count nowhere, because a mail filter or a link scanner makes them.

    An `email_opened` or `email_clicked` no later than `after_sending` an e-mail was sent; and all clicks of a stretch
    of `within` in which at least so many different `links` were clicked. "0s" switches either off.
    """

    after_sending: Duration = timedelta(seconds=5)
    within: Duration = timedelta(seconds=3)
    links: int = Field(default=3, ge=2)
