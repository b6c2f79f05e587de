"""What the guest said, and whether it is what was to be shown. Pure."""
import json

# The runtime counts a task's wakers in 16 bits with a sign.
BEYOND = 32_767
KIB = 1024
DELIVERED = "inventory_feed_events_delivered_total"


class Records:
    def __init__(self, text):
        """Raises ValueError where a line is not whole."""
        self.all = [json.loads(line) for line in text.splitlines() if line.strip()]

    def only(self, kind):
        found = [record for record in self.all if record["record"] == kind]
        return found[-1] if found else {}

    @property
    def looks(self):
        return [record for record in self.all if record["record"] == "look"]

    @property
    def figures(self):
        return self.only("driver").get("figures") or {}

    def with_all_waiting(self, followers):
        return [look for look in self.looks if look["waiters"] == followers]


def problems(records, followers, updates):
    """A sentence for each thing that was to be shown and was not."""
    found = [f"the guest gave up: {record['problem']}" for record in records.all if record["record"] == "failed"]
    figures, driver, after = records.figures, records.only("driver"), records.only("after")
    delivered = after.get("metrics", {}).get(DELIVERED)
    wanted = [
        (records.only("guest").get("plan", "").startswith("executors 1, acceptors 1,"), "the server is not on one core"),
        (driver.get("status") == 0, f"the driver failed: {driver.get('complaint') or 'it says nothing'}"),
        (figures.get("is_complete") is True, f"not every follower received every update once and in order: {figures.get('problems')}"),
        (figures.get("followers") == followers, f"{figures.get('followers')} followed, not {followers}"),
        (figures.get("updates_received_by_all", 0) >= updates, f"{figures.get('updates_received_by_all', 0)} updates reached all, not {updates}"),
        (figures.get("updates_taken") == figures.get("updates_due"), f"of {figures.get('updates_due')} updates {figures.get('updates_taken')} were taken"),
        (delivered == followers * figures.get("updates_taken", 0), f"the server counts {delivered} deliveries"),
        (records.with_all_waiting(followers), f"the gauge never read {followers}, at most {max((look['waiters'] for look in records.looks), default=0)}"),
        (after.get("healthStatus") == 0 and (after.get("health") or {}).get("status") == "healthy", f"/health says {after.get('health')} afterwards"),
        (after.get("waiters") == 0, f"{after.get('waiters')} wait although all have gone"),
        (after.get("warnings") == 0, f"{after.get('warnings')} warnings and errors in the server's log"),
        (records.only("stopped").get("status") == 0, f"the server ended with {records.only('stopped').get('status')}")]
    return found + [sentence for is_so, sentence in wanted if not is_so]


def shown(records, followers):
    """In figures. Those of time are of an emulated CPU."""
    all_wait = records.with_all_waiting(followers)
    if not all_wait or not records.figures:
        return {}
    alone = records.looks[0]["residentBytes"]
    waiting = max(look["residentBytes"] for look in all_wait)
    figures = records.figures
    return {
        "waitingAtOnce": followers, "isBeyondCounter": followers > BEYOND,
        "looks": len(records.looks), "looksWithAllWaiting": len(all_wait),
        # The end moves with each update: at so many of its places all waited.
        "feedEndsAtWhichAllWaited": len({look["endOffset"] for look in all_wait}),
        "updatesReceivedByAll": figures["updates_received_by_all"],
        "serverResidentMib": {"alone": round(alone / KIB / KIB, 1), "allWait": round(waiting / KIB / KIB, 1)},
        "serverKibPerFollower": round((waiting - alone) / KIB / followers, 2),
        "serverOpenFiles": max(look["openFiles"] for look in all_wait),
        "emulated": {
            "untilAllWaitSeconds": figures["until_all_wait_seconds"], "updateP50Ms": figures["update_p50_ms"],
            "lastReceiptP50Ms": figures["last_receipt_p50_ms"], "lastReceiptP99Ms": figures["last_receipt_p99_ms"],
            "serverCpuUsPerDelivery": figures["server_cpu_us_per_delivery"]}}
