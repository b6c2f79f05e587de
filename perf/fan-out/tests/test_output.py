import unittest
import xml.etree.ElementTree as ElementTree

from aims import verdicts
from jobs import jobs
from output.plot import figures_plot
from output.table import figures_page
from tests.samples import FACTS, sample, samples

ALL = list(jobs(10_000, 2_000, 40_000, [20, 100]).values())


class Page(unittest.TestCase):
    def page(self, *records, **facts):
        return figures_page({**FACTS, **facts}, ALL, samples(*records))

    def test_figures_stand_with_their_spread_and_beside_those_without_followers(self):
        page = self.page(sample("alone", "this", update_p50_ms=0.5), sample("polls", "this", deliveries_per_second=3000.0),
                         sample("alone", "this", 2), sample("polls", "this", 2))
        self.assertIn("| 1,000 **2,000** 3,000 |", page)
        self.assertIn("| 1.00 **1.50** 2.00 |", page)
        self.assertIn("None.", page)

    def test_rows_have_as_many_cells_as_their_head(self):
        for section in self.page(sample("alone", "this"), sample("polls", "this"), sample("polls", "nchan-single")).split("\n## ")[1:]:
            rows = [line.count("|") for line in section.splitlines() if line.startswith("|")]
            self.assertLessEqual(len(set(rows)), 1, section)

    def test_what_makes_a_figure_doubtful_is_said(self):
        page = self.page(sample("polls", "this", problems=["a follower got update 7 twice"], warnings=["the driver used 97 % of its CPU"]),
                         {**sample("polls", "nchan"), "figures": None, "problems": ["it does not start"]}, notMeasured=["`many` is not measured"])
        for text in ("central-inventory: **a follower got update 7 twice**", "the driver used 97 %", "nchan: **it does not start**", "`many` is not measured"):
            self.assertIn(text, page)

    def test_a_receipt_that_never_came_leaves_its_place_empty(self):
        page = self.page(sample("polls", "nchan-single", last_receipt_p50_ms=None, last_receipt_p99_ms=None))
        self.assertIn("|  |  | 1,000 **1,000** 1,000 |", page)


class Plot(unittest.TestCase):
    def test_there_is_a_bar_for_each_server_and_rate(self):
        text = figures_plot(FACTS, ALL, samples(sample("polls", "this"), sample("polls-20", "this"), sample("polls", "nchan")))
        ElementTree.fromstring(text)
        for label in ("central-inventory, 20/s", "central-inventory, 100/s", "nchan, 100/s"):
            self.assertIn(label, text)

    def test_nothing_measured_is_a_picture_too(self):
        ElementTree.fromstring(figures_plot(FACTS, ALL, samples()))


class Aims(unittest.TestCase):
    def verdict(self, title, *records):
        return next(verdict for verdict in verdicts(samples(*records), ["polls-20", "polls"]) if verdict.aim.title.startswith(title))

    def test_more_updates_must_not_mean_fewer_deliveries(self):
        rising = self.verdict("past saturation", sample("polls-20", "this"), sample("polls", "this", deliveries_per_second=1500.0))
        self.assertEqual((1.5, True), (rising.spread.middle, rising.is_met))
        falling = self.verdict("past saturation", sample("polls-20", "this"), sample("polls", "this", deliveries_per_second=500.0))
        self.assertFalse(falling.is_met)

    def test_an_answer_costs_what_its_deliveries_cost(self):
        self.assertEqual(10.0, self.verdict("waiting polls: server CPU", sample("polls", "this")).spread.middle)

    def test_a_slow_update_is_compared_with_the_same_round(self):
        slow = self.verdict("streams: p50", sample("alone", "this"), sample("streams", "this", update_p50_ms=3.0), sample("streams", "this", 2))
        self.assertEqual((3.0, 1, False), (slow.spread.middle, slow.spread.count, slow.is_met))

    def test_one_that_did_not_receive_everything_is_told(self):
        self.assertFalse(self.verdict("many", sample("many", "this", is_complete=False)).is_met)


if __name__ == "__main__":
    unittest.main()
