import unittest
import xml.etree.ElementTree as ElementTree

from output.plot import figures_plot
from output.table import figures_page
from tests.samples import FACTS, SERVERS, sample, samples

SVG = "{http://www.w3.org/2000/svg}"


class Page(unittest.TestCase):
    def page(self, *records):
        return figures_page(FACTS, SERVERS, samples(*records))

    def test_rates_and_ratios_stand_with_their_spread(self):
        page = self.page(sample("updates", "this", 1, 3000), sample("updates", "redis", 1, 1000),
                         sample("updates", "this", 2, 2000), sample("updates", "redis", 2, 2000))
        self.assertIn("| central-inventory | 2,000 **2,500** 3,000 |", page)
        self.assertIn("| Redis & co | 1,000 **1,500** 2,000 | 1.00 **2.00** 3.00 |", page)
        self.assertIn("| updates: rate to that of Redis | at least 2.5 | 1.00 **2.00** 3.00 | **not met: 20% below** | 1 of 2 |", page)
        self.assertIn("None.", page)

    def test_what_makes_a_figure_doubtful_is_said(self):
        page = self.page(sample("updates", "this", 1, driver_cpu_seconds=0.97), sample("updates", "redis", 1, problem="7 events for 9"),
                         sample("updates", "redis", 2, failed=3, other_cpu_share=0.5))
        self.assertIn("the driver used 97% of its CPU", page)
        self.assertIn("**left out**, 7 events for 9", page)
        self.assertIn("3 requests failed", page)
        self.assertIn("50% of the two CPUs' time", page)

    def test_a_table_has_as_many_cells_in_each_row(self):
        rows = [line for line in self.page(sample("updates", "this", 1)).split("## Durable")[1].splitlines() if line.startswith("|")]
        self.assertEqual(len({row.count("|") for row in rows[:3]}), 1)

    def test_syncs_that_were_seen_are_named(self):
        self.assertIn("| central-inventory | 21 for 20 updates, one after the other | its metric |", self.page(sample("updates", "this", 1)))


class Plot(unittest.TestCase):
    def plot(self, *records):
        return ElementTree.fromstring(figures_plot(FACTS, SERVERS, samples(*records)))

    def test_bars_end_at_medians_to_scale_and_names_are_escaped(self):
        root = self.plot(sample("reads", "this", 1, 1000), sample("reads", "socket", 1, 500))
        widths = [float(bar.get("width")) for bar in root.findall(f"{SVG}rect")[1:]]
        self.assertAlmostEqual(widths[0] / widths[1], 2, places=2)
        self.assertIn("sockets & co", [text.text for text in root.findall(f"{SVG}text")])

    def test_whiskers_reach_from_minimum_to_maximum(self):
        root = self.plot(*[sample("reads", "this", number, rate) for number, rate in [(1, 500), (2, 800), (3, 1000)]])
        bar, whisker = root.findall(f"{SVG}rect")[1], root.find(f"{SVG}path").get("d")
        left, width = float(bar.get("x")), float(bar.get("width"))
        low, high = map(float, whisker.removeprefix("M").split("M")[0].replace("H", " ").split()[::2])
        self.assertAlmostEqual((low - left) / width, 500 / 800, places=2)
        self.assertAlmostEqual((high - left) / width, 1000 / 800, places=2)

    def test_nothing_leaves_the_picture(self):
        root = self.plot(sample("reads", "this", 1, 1e9), sample("updates", "redis", 1, 1), sample("alone", "this", 1))
        for text in root.findall(f"{SVG}text"):
            self.assertLess(float(text.get("x")), float(root.get("width")))
            self.assertLess(float(text.get("y")), float(root.get("height")))


if __name__ == "__main__":
    unittest.main()
