import unittest

import verdicts
from verdicts import MIB


def memory_record(resident):
    series = [(second * 1000, value) for second, value in enumerate(resident)]
    load = {"beganMs": 0, "endedMs": 1000 * len(resident), "events": 1_000_000, "refused": 0}
    return {"resident": series, "metrics": [], "load": load}


def second(number, middle, answered=10):
    return {"second": number, "answered": answered, "p50Ms": middle, "maxMs": middle * 4}


class Memory(unittest.TestCase):
    def test_what_stays_is_met_and_what_grows_by_a_pointer_for_each_event_is_missed(self):
        noisy = [(100 + step % 3) * MIB for step in range(50)]
        growing = [100 * MIB + step * 10 * MIB // 40 for step in range(50)]
        self.assertTrue(verdicts.memory(memory_record(noisy))[0].met)
        self.assertFalse(verdicts.memory(memory_record(growing))[0].met)

    def test_a_peak_in_between_is_shown_and_no_growth(self):
        resident = [100 * MIB] * 25 + [160 * MIB] + [100 * MIB] * 25
        found = verdicts.memory(memory_record(resident))[0]
        self.assertTrue(found.met)
        self.assertIn("highest 160.0 MiB", found.measured)

    def test_a_refused_event_is_missed(self):
        record = memory_record([MIB] * 10)
        record["load"]["refused"] = 1
        self.assertFalse(verdicts.memory(record)[1].met)

    def test_nothing_seen_is_an_error_and_no_success(self):
        record = memory_record([MIB])
        record["load"]["beganMs"] = record["load"]["endedMs"] = 99_000
        with self.assertRaises(ValueError):
            verdicts.memory(record)


class Products(unittest.TestCase):
    def record(self, resident, streaming=100 * MIB):
        start = {"readySeconds": 1, "resident": resident, "peak": resident}
        series = [(at, 100 * MIB) for at in range(0, 2000, 50)] + [(at, streaming) for at in range(2000, 3000, 50)]
        bootstrap = {"beganMs": 0, "streamingFromMs": 2000, "streamingToMs": 3000, "replicaEqualsListing": True, "products": 1_000_000}
        return {"products": 1_000_000, "stringBytes": 40_000_000, "residentWithout": 100_000_000, "fromCatalogue": start, "fromSnapshot": start,
                "bootstrap": bootstrap, "resident": series, "metrics": []}

    def test_its_own_strings_are_no_cost_of_a_product(self):
        self.assertEqual(400, verdicts.product_bytes(self.record(540_000_000), "fromCatalogue"))
        self.assertTrue(verdicts.products(self.record(540_000_000))[0].met)
        self.assertFalse(verdicts.products(self.record(541_000_000))[0].met)

    def test_a_snapshot_held_as_a_whole_is_missed(self):
        self.assertTrue(verdicts.products(self.record(400_000_000))[2].met)
        self.assertFalse(verdicts.products(self.record(400_000_000, 250 * MIB))[2].met)

    def test_a_store_without_some_products_is_missed(self):
        record = self.record(400_000_000)
        record["bootstrap"]["products"] -= 1
        self.assertFalse(verdicts.products(record)[3].met)


class Fleet(unittest.TestCase):
    def record(self, middles):
        load = {"beganMs": 0, "endedMs": 60_000, "refused": 0, "series": [second(number, middle) for number, middle in enumerate(middles)]}
        return {"followers": 10, "warmSeconds": 10, "load": load, "resident": [(at, MIB) for at in range(0, 60_000, 100)], "metrics": []}

    def test_latency_that_grows_is_missed_once_it_is_more_than_the_machines(self):
        self.assertTrue(verdicts.fleet(self.record([50] * 60))[1].met)
        self.assertTrue(verdicts.fleet(self.record([1] * 40 + [4] * 20))[1].met)
        self.assertFalse(verdicts.fleet(self.record([20] * 40 + [40] * 20))[1].met)

    def test_the_warm_up_is_not_judged(self):
        self.assertTrue(verdicts.fleet(self.record([1] * 10 + [40] * 50))[1].met)


class Behind(unittest.TestCase):
    def record(self, highest, longest):
        resident = [(at, 400 * MIB) for at in range(0, 60_000, 100)] + [(30_050, highest)]
        load = {"beganMs": 0, "endedMs": 60_000, "refused": 0, "latencyMs": {"max": longest}}
        return {"followers": 10_000, "residentBefore": 400 * MIB, "load": load, "resident": resident}

    def test_memory_that_grows_with_what_stores_have_not_got_is_missed(self):
        self.assertTrue(verdicts.behind(self.record(900 * MIB, 10))[0].met)
        self.assertFalse(verdicts.behind(self.record(1000 * MIB, 10))[0].met)

    def test_updates_that_stand_still_are_missed(self):
        self.assertTrue(verdicts.behind(self.record(400 * MIB, 900))[1].met)
        self.assertFalse(verdicts.behind(self.record(400 * MIB, 1_100))[1].met)


class Stalls(unittest.TestCase):
    def load(self, stalled, others=0.02):
        return {"otherCpuShare": others, "requests": 100, "limitMs": 100, "stalledByServer": stalled, "slowest": [{"waitedMs": 120, "withoutMachineMs": 20}]}

    def test_what_the_machine_explains_is_met(self):
        found = verdicts.stalls({"journal": self.load(0), "memory": self.load(1)})
        self.assertEqual([True, False], [verdict.met for verdict in found])

    def test_a_machine_that_is_not_idle_is_not_judged_and_that_is_said(self):
        found = verdicts.stalls({"journal": self.load(3, 0.5), "memory": self.load(0)})
        self.assertEqual([None, True], [verdict.met for verdict in found])
        self.assertEqual("NOT JUDGED", found[0].word)
        self.assertIn("others used 50% of the CPUs, too much to judge", found[0].measured)
        self.assertNotIn("too much", found[1].measured)


if __name__ == "__main__":
    unittest.main()
