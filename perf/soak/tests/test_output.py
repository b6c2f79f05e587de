import sys
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

import lines
from server import TICKS_PER_SECOND, busy_seconds, parse_metrics, write_catalogue


class Pictures(unittest.TestCase):
    def test_a_picture_is_xml_whatever_is_on_it(self):
        panels = [lines.Panel("a < b", "s", "MiB", [lines.Line("x & y", [(0, 1.5), (10, 3)]), lines.Line("flat", [(0, 0), (10, 0)], dashed=True)], [(2, "aim")]),
                  lines.Panel("empty", "s", "MiB", []), lines.Panel("nothing but 0", "s", "", [lines.Line("0", [(0, 0)])])]
        xml.etree.ElementTree.fromstring(lines.svg(panels, "a caption"))

    def test_an_axis_ends_with_a_round_number_above_everything(self):
        self.assertEqual([0, 1, 2, 3, 4, 5], lines.ticks(5))
        self.assertEqual(0, lines.ticks(87)[0])
        for highest in [0.3, 1, 7, 87, 99.5, 1e6, 1.2e7]:
            found = lines.ticks(highest)
            self.assertGreaterEqual(found[-1] * 1.000001, highest)
            self.assertLessEqual(len(found), 8)


class Inputs(unittest.TestCase):
    def test_metrics_are_summed_over_their_labels(self):
        page = '# HELP a b\na{shard="0 1"} 2\na{shard="1"} 3\nb 1.5e3\n'
        self.assertEqual({"a": 5, "b": 1500}, parse_metrics(page))

    def test_what_is_neither_idle_nor_waiting_is_busy(self):
        text = "cpu 9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 800 800 8 16 32 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\nintr 5"
        self.assertEqual(63, TICKS_PER_SECOND * busy_seconds(text, {"cpu0"}))
        self.assertEqual(64, TICKS_PER_SECOND * busy_seconds(text, {"cpu0", "cpu1"}))

    def test_a_catalogue_is_json_and_its_strings_are_counted(self):
        import json
        import tempfile
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "c.json"
            strings = write_catalogue(path, "p", 3)
            found = json.loads(path.read_text())["products"]
        self.assertEqual(["p-0000000", "p-0000001", "p-0000002"], list(found))
        self.assertEqual(sum(len(one["productId"]) + len(one["name"]) + len("9.99") for one in found.values()), strings)


if __name__ == "__main__":
    unittest.main()
