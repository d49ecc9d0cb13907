"""The numbers of the page for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crmsync.config import Config
from crmsync.web.snapshot import Snapshot

OUTCOMES = ("updated", "partly", "rejected", "edited", "unknown")


class Totals:
    """What runs did since this process began, counted once for each run."""

    def __init__(self) -> None:
        self.changes: dict[tuple[str, str], int] = {}
        self.calls: dict[str, int] = {}
        self._seen: set[str] = set()
        self._since = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"  # ids of runs begin with their time
        self._lock = Lock()

    def add(self, snapshot: Snapshot) -> None:
        """Count the runs that ended since the last time; those from before this process count nothing."""
        with self._lock:
            for each in snapshot.status["runs"]:
                if each["ended"] is None or each["run"] in self._seen or each["run"] < self._since:
                    continue
                self._seen.add(each["run"])
                for crm, counts in each["crms"].items():
                    for outcome in OUTCOMES:
                        key = crm, outcome
                        self.changes[key] = self.changes.get(key, 0) + counts.get(outcome, 0)
                    self.calls[crm] = self.calls.get(crm, 0) + counts.get("api_calls", 0)


class _Page(Collector):
    def __init__(self, config: Config, snapshot: Snapshot, totals: Totals) -> None:
        self.config, self.snapshot, self.totals = config, snapshot, totals

    def collect(self) -> Iterator[Metric]:
        status, crms = self.snapshot.status, list(self.config.crms)
        good = GaugeMetricFamily(
            "crmsync_last_good_run_timestamp_seconds", "When the last good run for a CRM ended.", labels=["crm"]
        )
        for crm in crms:
            ended = status["crms"].get(crm, {}).get("last_good")
            good.add_metric([crm], _seconds(ended) if ended else 0)
        yield good
        people = GaugeMetricFamily("crmsync_people", "People per band, as the CRMs hold them.", labels=["band"])
        for band in dict.fromkeys((*self.config.band_names(), *status["bands"])):
            people.add_metric([band], status["bands"].get(band, 0))
        yield people
        changes = CounterMetricFamily(
            "crmsync_changes", "Changes of records by outcome, since the process began.", labels=["crm", "outcome"]
        )
        calls = CounterMetricFamily("crmsync_api_calls", "API calls since the process began.", labels=["crm"])
        for crm in crms:
            for outcome in OUTCOMES:
                changes.add_metric([crm, outcome], self.totals.changes.get((crm, outcome), 0))
            calls.add_metric([crm], self.totals.calls.get(crm, 0))
        yield changes
        yield calls
        used = GaugeMetricFamily(
            "crmsync_api_used_ratio", "How much of a CRM's daily API calls is used, by everybody.", labels=["crm"]
        )
        for crm in crms:
            if (share := status["crms"].get(crm, {}).get("api_used")) is not None:
                used.add_metric([crm], share)
        yield used
        yield GaugeMetricFamily("crmsync_held_plan", "Plans that wait for approval.", len(status["waiting"]))
        stale = GaugeMetricFamily(
            "crmsync_feed_stale", "1 where a kind of activity comes no more.", labels=["crm", "kind"]
        )
        for crm, kind in self.snapshot.feeds:
            stale.add_metric([crm, kind], int((crm, kind) in self.snapshot.dead))
        yield stale
        took = [each["seconds"] for each in status["runs"] if each["seconds"] is not None]
        fresh = status["freshness"]
        waits = GaugeMetricFamily(
            "crmsync_freshness_seconds",
            "From an event in a CRM to the score there, over the last day.",
            labels=["quantile"],
        )
        for quantile, name in (("0.5", "median_seconds"), ("0.95", "p95_seconds")):
            if fresh[name] is not None:
                waits.add_metric([quantile], fresh[name])
        yield waits
        yield GaugeMetricFamily(
            "crmsync_freshness_people", "People whose event led to an update in the last day.", fresh["people"]
        )
        yield GaugeMetricFamily("crmsync_run_seconds", "How long the last run took.", took[0] if took else 0)


def _seconds(minute: str) -> float:
    return datetime.strptime(minute, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC).timestamp()


def render_metrics(config: Config, snapshot: Snapshot, totals: Totals) -> bytes:
    """All of it in Prometheus' text format."""
    totals.add(snapshot)
    registry = CollectorRegistry()
    registry.register(_Page(config, snapshot, totals))
    return generate_latest(registry)
