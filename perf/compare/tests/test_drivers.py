import unittest

from checks import miscount
from drivers import pgbench, redis_benchmark, wrk
from drivers.driver import Load, percentile


class Outputs(unittest.TestCase):
    def test_wrk_is_read_from_the_line_of_the_script(self):
        load = wrk.parse('Running 2s test\n  2 threads\n\n{"requests":1000,"sent":1010,"status":10,"socket":1,"timeout":2,'
                         '"duration_us":2000000,"p50_us":130,"p99_us":900}\n', 1)
        self.assertEqual((load.operations, load.operations_max, load.failed, load.rate), (990, 1010, 13, 495.0))
        self.assertEqual((load.p50_us, load.p99_us), (130, 900))

    def test_an_item_of_a_batch_is_an_operation(self):
        load = wrk.parse('{"requests":10,"sent":1200,"status":0,"socket":0,"timeout":0,"duration_us":1000000,"p50_us":1,"p99_us":1}', 100)
        self.assertEqual((load.operations, load.operations_max, load.rate), (1000, 1200, 1000.0))

    def test_redis_benchmark_is_read_from_its_table(self):
        load = redis_benchmark.parse(
            '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
            '"EVALSHA f69d 3 a","14563.11","3.992","1.288","4.015","6.007","8.023","9.999"\n', 5000)
        self.assertEqual((load.operations, load.operations_max, load.failed), (5000, 5000, 0))
        self.assertEqual((load.rate, load.p50_us, load.p99_us), (14563.11, 4015.0, 8023.0))

    OF_PGBENCH = ("number of transactions actually processed: 37914\nnumber of failed transactions: 0 (0.000%)\nlatency average = 15 ms\n"
                  "initial connection time = 1010.951 ms\ntps = 16673.255814 (without initial connection time)\n")

    def test_pgbench_is_read_from_its_summary_and_its_log(self):
        load = pgbench.parse(self.OF_PGBENCH, "0 1 300 0 1 1\n0 2 100 0 1 1\n1 1 200 0 1 1\n")
        self.assertEqual((load.operations, load.operations_max, load.failed), (37914, 37914, 0))
        self.assertEqual((load.rate, load.p50_us, load.p99_us), (16673.255814, 200, 300))
        self.assertAlmostEqual(pgbench.connecting_seconds(self.OF_PGBENCH), 1.010951)

    def test_pgbench_that_only_connected_is_no_measurement(self):
        with self.assertRaises(RuntimeError):
            pgbench.connecting_seconds("number of transactions actually processed: 0\n")

    def test_a_percentile_of_few_is_one_of_them(self):
        self.assertEqual(percentile([1, 2, 3], 0.99), 3)
        self.assertEqual(percentile([1], 0.5), 1)


class Counting(unittest.TestCase):
    def load(self, operations, operations_max):
        return Load(operations, operations_max, 0, 1.0, 1, 1)

    def test_events_lie_between_what_was_answered_and_what_was_sent(self):
        for events in (100, 103, 110):
            self.assertEqual(miscount(self.load(100, 110), events), "")
        for events in (99, 111):
            self.assertIn(str(events), miscount(self.load(100, 110), events))

    def test_a_load_without_an_answer_is_a_problem(self):
        self.assertNotEqual(miscount(self.load(0, 10), 0), "")


if __name__ == "__main__":
    unittest.main()
