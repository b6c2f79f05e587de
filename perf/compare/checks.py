"""Whether a server really does the job: looked at once before it is measured, and counted after each load."""
import secrets
import time

DURABLE_UPDATES = 20


def check_job(store):
    """Raises AssertionError if one rule of the job does not hold. Returns what was seen."""
    product, key = store.product_id(7), f"check-{secrets.token_hex(8)}"
    check_update(store, product, key)
    check_repeat(store, product, key)
    check_refusals(store, product)
    return {"syncs": check_syncs(store, product), "updates": DURABLE_UPDATES, "seen_by": store.syncs_seen_by}


def check_update(store, product, key):
    (quantity, version), events = store.product(product), store.events()
    done = store.update(product, -3, key, version)
    assert done.applied, f"{store.title}: an update is refused: {done.answer}"
    assert store.product(product) == (quantity - 3, version + 1), f"{store.title}: quantity or version is wrong"
    assert store.events() == events + 1, f"{store.title}: no event was appended"


def check_repeat(store, product, key):
    before, events = store.product(product), store.events()
    repeats = [store.update(product, -3, key, before[1]), store.update(product, -3, key)]
    assert repeats[0] == repeats[1], f"{store.title}: a repeat has another answer: {repeats}"
    assert (store.product(product), store.events()) == (before, events), f"{store.title}: a repeat has an effect"


def check_refusals(store, product):
    before, events = store.product(product), store.events()
    stale = store.update(product, -1, f"stale-{secrets.token_hex(8)}", before[1] - 1)
    assert not stale.applied, f"{store.title}: a stale version is not refused: {stale.answer}"
    below = store.update(product, -before[0] - 1, f"below-{secrets.token_hex(8)}")
    assert not below.applied, f"{store.title}: a quantity below zero is not refused: {below.answer}"
    assert (store.product(product), store.events()) == (before, events), f"{store.title}: a refused update has an effect"


def check_syncs(store, product):
    """Updates one after the other: each must have been synced before its answer, so there are as many syncs at least."""
    def updates():
        for _ in range(DURABLE_UPDATES):
            assert store.update(product, 1, f"sync-{secrets.token_hex(8)}").applied
    syncs = store.syncs_during(updates)
    assert syncs >= DURABLE_UPDATES, f"{store.title}: {syncs} syncs for {DURABLE_UPDATES} updates: they are not durable"
    return syncs


def settled_events(store):
    """The number of events when the requests that were under way at the end of a load are done."""
    events = store.events()
    for _ in range(100):
        time.sleep(0.05)
        if store.events() == events:
            return events
        events = store.events()
    raise RuntimeError(f"{store.title}: events do not come to rest")


def miscount(load, events):
    """What is wrong if `events` were appended in the course of `load`; empty if nothing is."""
    if not load.operations:
        return "not one update was answered"
    if load.operations <= events <= load.operations_max:
        return ""
    return f"{events} events for {load.operations} updates answered of {load.operations_max} sent"
