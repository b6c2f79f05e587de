import unittest

from aims import AIMS, Aim, verdict
from figures import driver_share, ratios, server_cpu_us
from harness.spread import Spread, spread
from tests.samples import sample, samples


class Figures(unittest.TestCase):
    def test_a_spread_has_minimum_median_and_maximum(self):
        self.assertEqual(spread([3, 1, 10]), Spread(1, 3, 10, 3))
        self.assertIsNone(spread([]))

    def test_a_ratio_is_one_of_the_same_round(self):
        found = samples(sample("updates", "this", 1, 300), sample("updates", "redis", 1, 100),
                        sample("updates", "this", 2, 100), sample("updates", "redis", 2, 200),
                        sample("updates", "this", 3, 100))
        self.assertEqual(ratios(found, ("updates", "this"), ("updates", "redis")), [3.0, 0.5])

    def test_a_sample_with_a_problem_is_no_part_of_a_figure(self):
        found = samples(sample("updates", "this", 1), sample("updates", "redis", 1, problem="miscounted"))
        self.assertEqual(ratios(found, ("updates", "this"), ("updates", "redis")), [])
        self.assertEqual(len(found.all), 2)

    def test_cpu_time_is_divided_among_operations(self):
        self.assertEqual(server_cpu_us(sample("updates", "this", 1)), 5000)
        self.assertEqual(driver_share(sample("updates", "this", 1)), 0.25)


class Aims(unittest.TestCase):
    def judge(self, values, target, at_most=False):
        return verdict(Aim("", target, lambda _: values, at_most), samples())

    def test_the_median_decides(self):
        self.assertEqual(self.judge([0.5, 1.0, 1.0], 1.0).text, "met")
        self.assertEqual(self.judge([0.5, 1.0, 1.0], 1.0).rounds_met, 2)
        self.assertEqual(self.judge([0.5, 0.5, 1.0], 1.0).text, "not met: 50% below")
        self.assertEqual(self.judge([], 1.0).text, "not measured")

    def test_of_a_latency_less_is_better(self):
        self.assertEqual(self.judge([1.4], 1.5, at_most=True).text, "met")
        self.assertEqual(self.judge([3.0], 1.5, at_most=True).text, "not met: 100% above")

    def test_latency_is_held_against_disk_and_protocol_together(self):
        aim = next(aim for aim in AIMS if aim.at_most)
        found = samples(sample("alone", "this", 1, p50_us=300), sample("alone", "disk", 1, p50_us=150),
                        sample("alone", "constant", 1, p50_us=50), sample("alone", "this", 2, p50_us=900))
        self.assertEqual(aim.values(found), [1.5])

    def test_each_aim_has_figures_if_everything_was_measured(self):
        everything = samples(*[sample(job, server, 1) for job in ("updates", "updates-64", "hot", "batches", "reads", "alone")
                               for server in ("this", "redis", "postgresql", "constant", "disk")])
        for aim in AIMS:
            self.assertIsNotNone(verdict(aim, everything).spread, aim.title)


if __name__ == "__main__":
    unittest.main()
