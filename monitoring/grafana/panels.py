"""The 33 panels of the dashboard: what each shows, in which unit, and what to make of it. dashboard.py makes Grafana's JSON of them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """`unit` is one of Grafana's ids. `alert_above` or `alert_below` is the threshold of the alert that watches the same numbers."""

    title: str
    unit: str
    description: str
    queries: list
    kind: str = "timeseries"
    stacked: bool = False
    most: float | None = None
    alert_above: float | None = None
    alert_below: float | None = None
    states: list = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A heading, and lines of panels beside each other."""

    title: str
    lines: list


def of(metric, *matchers):
    """The series of a metric on the chosen instances."""
    return metric + "{" + ", ".join(['instance=~"$instance"', *matchers]) + "}"


def per_second(metric, *matchers, by="instance"):
    return f"sum by ({by}) (rate({of(metric, *matchers)}[$__rate_interval]))"


def quantile(share, metric, *matchers, by=""):
    labels = ", ".join(filter(None, ["le", by]))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({of(metric + '_bucket', *matchers)}[$__rate_interval])))"


def quantiles(metric, *matchers, shares=("0.5", "0.99")):
    return [Query(quantile(share, metric, *matchers), f"p{float(share) * 100:g}") for share in shares]


UPDATES = 'endpoint="/v1/inventory/updates"'
# A long poll waits on purpose, so its time says nothing about how fast the server is.
NO_LONG_POLLS = 'endpoint!="/v1/inventory/events"'
YES = [("0", "no", "red"), ("1", "yes", "green")]

TRAFFIC = Row("Traffic and errors", [
    [
        Panel(
            "Ready to serve", "none",
            "Whether the server takes requests: `no` while it recovers, drains, or after its journal failed. Alert: InventoryNotReady.",
            [Query(of("inventory_ready"), "{{instance}}")],
            kind="stat", states=YES,
        ),
        Panel(
            "Requests by endpoint", "reqps",
            "Answered requests a second. A store's share that vanishes is a store that is cut off.",
            [Query(per_second("inventory_api_requests_total", by="endpoint"), "{{endpoint}}")],
            stacked=True,
        ),
        Panel(
            "Answers by status", "reqps",
            "409 are conflicts and too little stock, 429 the rate limiter, 503 bounds that were met, a stop, or a failed journal.",
            [Query(per_second("inventory_api_requests_total", by="status"), "{{status}}")],
            stacked=True,
        ),
    ],
    [
        Panel(
            "Share of server errors", "percentunit",
            "Of all answers of five minutes: those of 500 and above, and of these the ones that met a bound. "
            "Alerts: InventoryServerErrors above 1 %, InventoryOverloaded above 0.1 %.",
            [
                Query(of("instance:inventory_api_server_errors:ratio_rate5m"), "{{instance}} 5xx"),
                Query(of("instance:inventory_api_overloaded:ratio_rate5m"), "{{instance}} overloaded"),
            ],
            alert_above=0.01,
        ),
        Panel(
            "Problems by code", "reqps",
            "Refused requests by the code of their problem; /problems/{code} explains each.",
            [Query(per_second("inventory_api_problems_total", by="code"), "{{code}}")],
        ),
        Panel(
            "Applied updates by store", "ops",
            "The ten busiest stores; a batch counts each item, a replay counts nothing. `other` is all stores beyond METRICS_MAX_STORES.",
            [Query(f"topk(10, {per_second('inventory_updates_processed_total', by='store')})", "{{store}}")],
        ),
    ],
])

LATENCY = Row("Latency", [[
    Panel(
        "Update latency", "s",
        "From the parsed head of an update to its answer, the sync of the journal included. Alert: InventoryUpdatesSlow, p99 above 100 ms.",
        quantiles("inventory_api_request_duration_seconds", UPDATES, shares=("0.5", "0.99", "0.999")),
        alert_above=0.1,
    ),
    Panel(
        "p99 by endpoint", "s",
        "One request in a hundred takes this long or longer. Long polls are left out: they wait on purpose.",
        [Query(quantile("0.99", "inventory_api_request_duration_seconds", NO_LONG_POLLS, by="endpoint"), "{{endpoint}}")],
    ),
    Panel(
        "Updates by latency", "s",
        "How many updates a second took how long. Two bands are two kinds of updates, such as single ones and batches.",
        [Query(per_second("inventory_api_request_duration_seconds_bucket", UPDATES, by="le"), "{{le}}")],
        kind="heatmap",
    ),
    Panel(
        "p99 by type of client", "s",
        "The same by where clients are: external, internal (private addresses) or localhost. It includes long polls.",
        [Query(quantile("0.99", "inventory_api_response_time_by_client_type", by="client_ip_type"), "{{client_ip_type}}")],
    ),
]])

SHARDS = Row("Shards and lanes", [
    [
        Panel(
            "Decisions of the shards", "ops",
            "What became of the changes that were asked for. Only `applied`, `created`, `modified` and `deleted` changed anything.",
            [Query(per_second("inventory_shard_decisions_total", by="decision"), "{{decision}}")],
            stacked=True,
        ),
        Panel(
            "Conflicts and replays", "percentunit",
            "Conflicts: share of new updates refused as stale over five minutes; alert InventoryConflictsHigh above 20 %. "
            "Replays: share of updates that the idempotency memory knew, so clients that repeat.",
            [
                Query(of("instance:inventory_version_conflicts:ratio_rate5m"), "{{instance}} conflicts"),
                Query(
                    f"{per_second('inventory_cache_hits_total')} / "
                    f"({per_second('inventory_cache_hits_total')} + {per_second('inventory_cache_misses_total')})",
                    "{{instance}} replays",
                ),
            ],
            alert_above=0.2,
        ),
        Panel(
            "Idempotency memory", "percentunit",
            "Remembered updates over the most a shard remembers. A full shard refuses new updates. "
            "Alert: InventoryIdempotencyMemoryNearlyFull above 80 %.",
            [Query(f"{of('inventory_idempotency_entries')} / {of('inventory_idempotency_capacity')}", "{{instance}} shard {{shard}}")],
            alert_above=0.8,
        ),
    ],
    [
        Panel(
            "Requests waiting for a shard", "short",
            "In the lanes from all acceptors, at the moment of the scrape, and how many shards are at work. "
            "Always far from 0 is a shard that does not keep up.",
            [
                Query(of("inventory_worker_queue_size"), "{{instance}} shard {{shard}}"),
                Query(of("inventory_worker_active_count"), "{{instance}} shards at work"),
            ],
        ),
        Panel(
            "Fullest lane of each kind", "percentunit",
            "Used slots over slots; a full lane answers 503. Alert: InventoryLaneNearlyFull above 80 %.",
            [Query(f"max by (instance, lane) ({of('instance_lane:inventory_lane_fill:ratio')})", "{{instance}} {{lane}}")],
            alert_above=0.8,
        ),
    ],
])

JOURNAL = Row("Sequencer and journal", [
    [
        Panel(
            "Changes not yet durable", "short",
            "Changes that have their place in the order but are not on disk; their clients wait. "
            "Alert: InventoryDurableLag, above half a second's worth.",
            [Query(of("inventory_journal_durable_lag_events"), "{{instance}}")],
        ),
        Panel(
            "Changes per group commit", "short",
            "One sync makes a whole group durable. Groups grow with the load and with the time of a sync; 1 is an idle server.",
            [
                Query(
                    f"{per_second('inventory_commit_group_events_sum')} / {per_second('inventory_commit_group_events_count')}",
                    "{{instance}} mean",
                ),
                Query(quantile("0.99", "inventory_commit_group_events", by="instance"), "{{instance}} p99"),
            ],
        ),
        Panel(
            "Time of a commit", "s",
            "Write and sync of a group, and the sync alone. Alert: InventoryJournalSyncSlow, p99 of the sync above 50 ms.",
            [Query(query.expr, "commit " + query.legend) for query in quantiles("inventory_commit_duration_seconds")]
            + [Query(query.expr, "sync " + query.legend) for query in quantiles("inventory_journal_sync_duration_seconds")],
            alert_above=0.05,
        ),
    ],
    [
        Panel(
            "Journal written", "Bps",
            "Bytes appended, the padding of each group to 4 KiB included. Divided by the changes: what a change costs on disk.",
            [Query(per_second("inventory_journal_bytes_total"), "{{instance}}")],
        ),
        Panel(
            "Changes beyond the snapshot", "short",
            "What a start would have to replay. It falls with each snapshot; if it only grows, see InventorySnapshotsFailing.",
            [Query(f"{of('inventory_sequencer_next_offset')} - {of('inventory_snapshot_covered_offset')}", "{{instance}}")],
        ),
        Panel(
            "Free on the data disk", "percentunit",
            "A full disk fails the journal. Alert: InventoryDataDiskNearlyFull, below 15 % or full within four hours.",
            [Query(of("instance:inventory_data_free:ratio"), "{{instance}}")],
            most=1, alert_below=0.15,
        ),
    ],
])

FEED = Row("Feed", [[
    Panel(
        "Events published and delivered", "ops",
        "An event is published once and delivered once to every store that reads it: the factor between is the number of stores.",
        [
            Query(per_second("inventory_events_published_total"), "{{instance}} published"),
            Query(per_second("inventory_feed_events_delivered_total"), "{{instance}} delivered"),
        ],
    ),
    Panel(
        "Polls by outcome", "reqps",
        "`empty` is a poll whose time ended. `offset_expired` is a store that was away too long and reads the snapshot anew. "
        "Alert: InventoryStoresResyncing.",
        [Query(per_second("inventory_feed_polls_total", by="outcome"), "{{outcome}}")],
    ),
    Panel(
        "Delivery lag", "s",
        "From an event being durable to the waiting poll's answer being handed over. Alert: InventoryFeedDeliverySlow, p99 above 250 ms.",
        quantiles("inventory_feed_delivery_lag_seconds"),
        alert_above=0.25,
    ),
    Panel(
        "Readable events", "short",
        "How many events a store may be behind: in memory, up to MAX_EVENTS_IN_QUEUE, and with the segments on disk. "
        "A store that is further behind reads the snapshot anew.",
        [
            Query(of("inventory_events_queue_size"), "{{instance}} in memory"),
            Query(f"{of('inventory_feed_end_offset')} - {of('inventory_feed_oldest_offset')}", "{{instance}} in all"),
        ],
    ),
]])

LIMITS = Row("Limits and clients", [[
    Panel(
        "Requests by type of client", "reqps",
        "External, internal (private addresses) or localhost, after TRUSTED_PROXIES. A proxy that is not named there makes all clients internal.",
        [Query(per_second("inventory_api_requests_by_client_ip_type", by="client_ip_type"), "{{client_ip_type}}")],
        stacked=True,
    ),
    Panel(
        "Refused by the rate limiter", "reqps",
        "429 by type of client and budget. Alert: InventoryRateLimitSurge above a tenth of all requests.",
        [Query(per_second("inventory_rate_limit_violations_total", by="client_ip_type, class"), "{{client_ip_type}} {{class}}")],
    ),
    Panel(
        "Connections, requests, waiting polls", "short",
        "Open connections, requests that are being answered, and of these the polls that wait for an event. "
        "Alerts: InventoryConnectionsNearlyFull and InventoryFeedWaitersNearlyFull, above 80 % of MAX_CONNECTIONS and MAX_WAITERS.",
        [
            Query(of("inventory_connections"), "{{instance}} connections"),
            Query(f"sum by (instance) ({of('inventory_api_requests_in_flight')})", "{{instance}} requests in flight"),
            Query(of("inventory_feed_waiters"), "{{instance}} waiting polls"),
        ],
    ),
    Panel(
        "Connections opened and refused", "ops",
        "Many opened for few requests are clients without keep-alive. Refused: a bound on connections. Timed out: by which deadline. "
        "Alert: InventoryConnectionsRefused.",
        [
            Query(per_second("inventory_connections_accepted_total"), "{{instance}} opened"),
            Query(per_second("inventory_connections_refused_total", by="reason"), "refused: {{reason}}"),
            Query(per_second("inventory_connections_timed_out_total", by="deadline"), "timed out: {{deadline}}"),
        ],
    ),
]])

PROCESS = Row("Process", [[
    Panel(
        "CPU of the executors", "percentunit",
        "Share of a CPU that each executor's thread used. One at 100 % is the bottleneck. Alert: InventoryExecutorSaturated above 90 %.",
        [Query(per_second("inventory_executor_cpu_seconds_total", by="instance, executor, roles"), "{{instance}} {{executor}} ({{roles}})")],
        alert_above=0.9,
    ),
    Panel(
        "Heartbeat delay, p99", "s",
        "How late the 10 ms heartbeat of an executor came: whatever delays it delays every request there. "
        "Alert: InventoryExecutorStalled above 50 ms.",
        [Query(quantile("0.99", "inventory_executor_heartbeat_delay_seconds", by="instance, executor"), "{{instance}} {{executor}}")],
        alert_above=0.05,
    ),
    Panel(
        "Resident memory", "bytes",
        "Grows until the idempotency memory and the feed are as full as the load makes them, and then stays. Alert: InventoryMemoryGrowth.",
        [Query(of("process_resident_memory_bytes", 'job="central-inventory"'), "{{instance}}")],
    ),
    Panel(
        "Open files and threads", "short",
        "Files are connections, the journal and rings. Threads do not grow with the load. "
        "Alert: InventoryOpenFilesNearlyFull above 80 % of what the process may open.",
        [
            Query(of("process_open_fds", 'job="central-inventory"'), "{{instance}} open files"),
            Query(of("process_threads", 'job="central-inventory"'), "{{instance}} threads"),
        ],
    ),
]])

ROWS = [TRAFFIC, LATENCY, SHARDS, JOURNAL, FEED, LIMITS, PROCESS]
