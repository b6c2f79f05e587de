import contextlib
import io
import unittest
from argparse import Namespace
from pathlib import Path

import commandline
from commandline import FILES_SPARE, available, within_files
from jobs import RATE, jobs, measurements
from servers import SERVERS

ALL = jobs(10_000, 2_000, 40_000, [20, RATE, 400])


class Planned(unittest.TestCase):
    def names(self, *only, servers=frozenset({"this", "nchan"})):
        return sorted(map(str, measurements(ALL, only, servers)))

    def test_a_job_means_all_its_servers_and_a_server_all_its_jobs(self):
        self.assertEqual(self.names("polls"), ["polls/nchan", "polls/nchan-single", "polls/this"])
        self.assertEqual(self.names("nchan-single"), ["polls/nchan-single"])

    def test_another_build_is_measured_where_there_is_one(self):
        self.assertNotIn("streams/before", self.names())
        self.assertIn("streams/before", self.names(servers=set(SERVERS)))

    def test_an_unknown_name_is_refused(self):
        with self.assertRaises(ValueError):
            self.names("pools")

    def test_a_binary_that_is_not_there_is_refused(self):
        with self.assertRaises(ValueError):
            available(Namespace(server=None, before=Path("/nowhere/server")))

    def test_the_rate_of_all_jobs_is_measured_once(self):
        self.assertEqual([name for name in ALL if name.startswith("polls")], ["polls", "polls-20", "polls-400"])


class Files(unittest.TestCase):
    def within(self, allowed):
        real, commandline.allow_files = commandline.allow_files, lambda wanted: min(wanted, allowed)
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                return within_files(measurements(ALL, ["polls", "many"], {"this"}))
        finally:
            commandline.allow_files = real

    def test_what_needs_more_files_than_are_allowed_is_left_out_and_named(self):
        planned, allowed, sentences = self.within(20_000)
        self.assertEqual((["polls/this"], 20_000), (list(map(str, planned)), allowed))
        self.assertIn(f"`many` is not measured: the server and the driver need {40_004 + FILES_SPARE:,} open files", sentences[0])

    def test_nothing_is_left_out_where_the_limit_may_be_raised(self):
        planned, _, sentences = self.within(100_000)
        self.assertEqual((2, []), (len(planned), sentences))


if __name__ == "__main__":
    unittest.main()
