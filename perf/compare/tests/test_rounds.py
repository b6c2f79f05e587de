import os
import subprocess
import unittest

from harness.process import cpu_seconds, descendants, parse_busy, parse_stat
from harness.turns import order
from jobs import measurements


class Order(unittest.TestCase):
    def setUp(self):
        self.all = measurements([], 256)

    def test_each_measurement_comes_once_in_a_round(self):
        self.assertCountEqual(order(self.all, 1), self.all)

    def test_rounds_differ_and_can_be_repeated(self):
        self.assertNotEqual(order(self.all, 1), order(self.all, 2))
        self.assertEqual(order(self.all, 3), order(self.all, 3))

    def test_what_is_compared_stays_together(self):
        for number in range(1, 20):
            groups = [measurement.job.group for measurement in order(self.all, number)]
            changes = sum(before != after for before, after in zip(groups, groups[1:]))
            self.assertEqual(changes, len(set(groups)) - 1)


class Only(unittest.TestCase):
    def names(self, *only):
        return sorted(map(str, measurements(only, 256)))

    def test_a_job_means_all_its_servers_and_a_server_all_its_jobs(self):
        self.assertEqual(self.names("reads"), ["reads/constant", "reads/socket", "reads/this"])
        self.assertEqual(self.names("disk"), ["alone/disk"])

    def test_both_mean_what_is_in_both(self):
        self.assertEqual(self.names("reads", "hot", "this"), ["hot/this", "reads/this"])

    def test_an_unknown_name_is_refused(self):
        with self.assertRaises(ValueError):
            self.names("redos")

    def test_connections_are_those_of_the_job_or_of_the_option(self):
        found = {str(measurement): measurement.connections for measurement in measurements([], 99)}
        self.assertEqual((found["updates/this"], found["updates-64/this"], found["alone/this"]), (99, 64, 1))


class Processes(unittest.TestCase):
    def test_a_name_with_spaces_and_brackets_is_no_field(self):
        fields = "S 1 2 3 4 5 6 7 8 9 10 100 200 300 400 20 0 7 0"
        own, ended, threads = parse_stat(f"42 (a ) b) {fields}")
        ticks = os.sysconf("SC_CLK_TCK")
        self.assertEqual((own, ended, threads), (300 / ticks, 700 / ticks, 7))

    def test_only_the_named_cpus_count_as_busy(self):
        text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 100 100 4 5 6 0 0\ncpu1 10 0 0 7 7 0 0 0 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\n"
        self.assertEqual(list(parse_busy(text, {"cpu0"})), [21])
        self.assertEqual(sum(parse_busy(text, {"cpu0", "cpu1"})), 31)

    def test_grandchildren_are_descendants(self):
        parent = subprocess.Popen(["sh", "-c", "sh -c 'echo ready; read line; :'; :"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            parent.stdout.readline()
            self.assertEqual(len(descendants(parent.pid)), 1)
            self.assertEqual(len(descendants(os.getpid())), 2)
        finally:
            parent.communicate(b"\n")

    def test_a_process_that_is_gone_took_no_time(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        self.assertEqual((cpu_seconds(gone.pid), descendants(gone.pid)), (0.0, []))


if __name__ == "__main__":
    unittest.main()
