import json
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

import costs as measured
import page
from model import Costs, Plan, best, best_apart, default_plan, estimate, plans, sequencer_limit, validated

US = {"acceptor": {"update": 8.0, "read": 7.0}, "shard": {"update": 1.0, "read": 0.5}, "sequencer": {"update": 0.5}}
UPDATES, READS = {"update": 1.0}, {"read": 1.0}


class Model(unittest.TestCase):
    def setUp(self):
        self.costs = Costs(US, headroom=1.0)

    def test_the_scarcest_role_is_the_limit(self):
        found = estimate(self.costs, UPDATES, Plan(acceptors=8, shards=1))
        self.assertEqual((1e6, "acceptors"), (round(found.rate), found.limit))
        found = estimate(self.costs, UPDATES, Plan(acceptors=80, shards=1))
        self.assertEqual((1e6, "shards"), (round(found.rate), found.limit))
        found = estimate(self.costs, UPDATES, Plan(acceptors=80, shards=80))
        self.assertEqual((2e6, "sequencer"), (round(found.rate), found.limit))

    def test_on_one_core_all_costs_add_up(self):
        self.assertAlmostEqual(1e6 / 9.5, best(self.costs, UPDATES, 1).rate)

    def test_apart_each_role_has_cores_of_its_own(self):
        self.assertIsNone(best_apart(self.costs, UPDATES, 2))
        self.assertEqual(Plan(13, 2), best_apart(self.costs, UPDATES, 16).plan)

    def test_a_core_with_the_sequencer_carries_less(self):
        shared = estimate(self.costs, UPDATES, Plan(2, 2, folded=True, sequencer_shares=True))
        self.assertAlmostEqual(1e6 / (4.5 + 0.5), shared.rate)

    def test_every_plan_has_so_many_cores(self):
        for cores in [1, 2, 3, 8, 64]:
            self.assertTrue(all(plan.cores == cores for plan in plans(cores)))

    def test_more_cores_never_carry_less(self):
        for mix in [UPDATES, READS, {"update": 0.5, "read": 0.5}]:
            rates = [best(self.costs, mix, cores).rate for cores in range(1, 80)]
            self.assertEqual(sorted(rates), rates)

    def test_the_best_plan_is_no_worse_than_the_servers_own(self):
        for cores in range(1, 80):
            own = estimate(self.costs, UPDATES, default_plan(cores))
            self.assertGreaterEqual(best(self.costs, UPDATES, cores).rate * 1.000001, own.rate)

    def test_the_sequencer_becomes_the_limit_where_all_others_carry_as_much(self):
        cores, rate = sequencer_limit(self.costs, UPDATES)
        # 16 acceptors and 2 shards, or 18 of both; and the sequencer.
        self.assertEqual((19, 2e6), (cores, round(rate)))
        self.assertNotEqual("sequencer", best(self.costs, UPDATES, cores - 1).limit)
        self.assertIsNone(sequencer_limit(self.costs, READS))

    def test_a_hot_product_makes_more_shards_useless(self):
        costs = Costs(US, headroom=1.0, hot_share=1.0)
        few, many = (estimate(costs, UPDATES, Plan(90, shards)) for shards in (1, 16))
        self.assertEqual((few.rate, "shards"), (many.rate, many.limit))

    def test_headroom_and_loss_take_their_part(self):
        careful = Costs(US, headroom=0.9, loss_per_core=0.01)
        plan = Plan(8, 2)
        self.assertAlmostEqual(estimate(self.costs, UPDATES, plan).rate * 0.9 / 1.1, estimate(careful, UPDATES, plan).rate)

    def test_the_servers_own_plan_is_that_of_its_table(self):
        self.assertEqual(Plan(3, 3, folded=True), default_plan(4))
        self.assertEqual(Plan(6, 1), default_plan(8))
        self.assertEqual(Plan(13, 2), default_plan(16))
        self.assertEqual(Plan(59, 4), default_plan(64))
        self.assertEqual(Plan(55, 8), default_plan(64, shards=16))

    def test_what_makes_no_sense_is_refused(self):
        mixes = {"updates": UPDATES}
        validated(self.costs, mixes)
        for costs in [Costs({**US, "shard": {"update": -1.0}}), Costs({**US, "acceptor": {}}), Costs(US, headroom=0), Costs(US, hot_share=2)]:
            with self.assertRaises(ValueError):
                validated(costs, mixes)
        with self.assertRaises(ValueError):
            validated(self.costs, {"half": {"update": 0.5}})


def roles_report(**cases):
    names = {"shard-updates-250k": 2.0, "shard-reads": 1.0, "sequencer": 0.5, **cases}
    return {"roles": {name: {"cpuUs": {"min": us, "median": us, "max": us}} for name, us in names.items()}}


class Measured(unittest.TestCase):
    def test_an_acceptor_costs_what_is_left_of_the_server(self):
        costs, words = measured.from_measurements(roles_report(), {"update": 12.5, "read": 8.0})
        self.assertEqual({"update": 10.0, "read": 7.0}, costs.us["acceptor"])
        self.assertIn("left", words)

    def test_an_acceptor_that_was_measured_is_taken_as_it_is(self):
        costs, words = measured.from_measurements(roles_report(**{"acceptor-updates": 6.0, "acceptor-reads": 5.0}), None)
        self.assertEqual({"update": 6.0, "read": 5.0}, costs.us["acceptor"])
        self.assertIn("alone", words)

    def test_without_a_figure_of_acceptors_there_is_no_model(self):
        with self.assertRaises(ValueError):
            measured.from_measurements(roles_report(), None)
        with self.assertRaises(ValueError):
            measured.from_measurements(roles_report(), {"update": 2.0, "read": 8.0})

    def test_samples_that_were_left_out_do_not_count(self):
        def sample(job, seconds, problem=""):
            return {"record": "sample", "server": "this", "job": job, "server_cpu_seconds": seconds, "operations": 1_000_000, "problem": problem}
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "samples.jsonl"
            lines = [sample("updates", 40), sample("updates", 44), sample("updates", 48), sample("updates", 900, "too slow"), sample("reads", 20)]
            path.write_text("".join(json.dumps(line) + "\n" for line in [{"record": "facts"}, *lines]))
            self.assertEqual({"update": 44, "read": 20}, measured.of_server(path))
            path.write_text("")
            with self.assertRaises(ValueError):
                measured.of_server(path)


class Output(unittest.TestCase):
    def setUp(self):
        self.facts = {"date": "2026-01-01", "commit": "abc", "cpu": "a", "cpus": 2, "acceptors": "guessed", "source": "nowhere"}

    def test_figures_go_between_their_marks_and_nothing_else_changes(self):
        document = f"# A\n{page.BEGIN}\nold\n{page.END}\nrest\n"
        once = page.replaced(document, "new")
        self.assertEqual(f"# A\n{page.BEGIN}\n\nnew\n\n{page.END}\nrest\n", once)
        self.assertEqual(once, page.replaced(once, "new"))
        with self.assertRaises(ValueError):
            page.replaced("# A\n", "new")

    def test_the_document_has_the_marks(self):
        document = Path(__file__).resolve().parents[3] / "docs/SCALING.md"
        page.replaced(document.read_text(), "new")

    def test_page_and_picture_are_made(self):
        mixes = {"updates": UPDATES, "reads": READS}
        text = page.figures(self.facts, Costs(US), mixes)
        self.assertIn("the one sequencer is the limit", text)
        self.assertIn("The sequencer is no limit", text)
        xml.etree.ElementTree.fromstring(page.picture(self.facts, Costs(US), mixes))


if __name__ == "__main__":
    unittest.main()
