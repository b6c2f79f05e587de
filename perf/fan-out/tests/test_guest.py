import io
import json
import stat
import subprocess
import unittest
from contextlib import redirect_stderr

from guest.archive import archive, file, with_directories
from guest.commandline import parse, told
from guest.contents import INIT, assignments, libraries
from guest.packages import dependency
from guest.records import Records, problems, shown

FOLLOWERS = 40_000
MIB = 1 << 20


def entries(packed):
    """Reads an archive as the kernel does: names, modes and contents up to the trailer."""
    at = 0
    while True:
        fields = [int(packed[at + 6 + 8 * field:at + 14 + 8 * field], 16) for field in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        assert packed[at:at + 6] == b"070701", at
        name = packed[at + 110:at + 110 + name_size - 1].decode()
        content = at + 110 + name_size + -(at + 110 + name_size) % 4
        if name == "TRAILER!!!":
            return
        yield name, mode, packed[content:content + size]
        at = content + size + -size % 4


class Archive(unittest.TestCase):
    def test_what_is_packed_is_found_again_whatever_its_length(self):
        for length in range(9):
            packed = archive([file("a" * (length + 1), b"x" * length), file("run", b"12345", may_run=True)])
            self.assertEqual([(name, content) for name, _, content in entries(packed)],
                             [("a" * (length + 1), b"x" * length), ("run", b"12345")])
            self.assertEqual(0, len(packed) % 4)

    def test_modes_say_what_it_is_and_who_may_run_it(self):
        modes = {name: mode for name, mode, _ in entries(archive(with_directories([file("bin/x", b"", may_run=True), file("y", b"")])))}
        self.assertTrue(stat.S_ISDIR(modes["bin"]))
        self.assertEqual((0o755, 0o644), (stat.S_IMODE(modes["bin/x"]), stat.S_IMODE(modes["y"])))

    def test_a_directory_comes_once_and_before_what_is_in_it(self):
        names = [entry.path for entry in with_directories([file("a/b/c", b""), file("a/b/d", b""), file("e", b"")])]
        self.assertEqual(names, ["a", "a/b", "a/b/c", "a/b/d", "e"])


class Contents(unittest.TestCase):
    def test_libraries_are_the_files_that_ldd_names(self):
        said = ("\tlinux-vdso.so.1 (0x00007f477404d000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f477351e000)\n"
                "\t/lib64/ld-linux-x86-64.so.2 (0x00007f477404f000)\n")
        self.assertEqual(libraries(said), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"])
        self.assertEqual(libraries("\tnot a dynamic executable\n"), [])

    def test_a_shell_reads_options_as_they_were(self):
        self.assertEqual(assignments({"A": 1, "B": "x y"}), "A=1\nB='x y'\n")

    def test_what_the_guest_does_is_a_script_for_a_shell(self):
        subprocess.run(["sh", "-n", INIT], check=True)

    def test_the_kernel_is_what_debians_package_depends_on(self):
        described = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\nSize: 1\n"
        self.assertEqual(dependency(described), "linux-image-6.1.0-56-cloud-amd64")
        with self.assertRaises(RuntimeError):
            dependency("")

    def test_there_is_room_for_every_follower(self):
        options = told(parse(["--followers", "120000", "--every", "30"]))
        self.assertGreater(options["FILES"], options["CONNECTIONS"])
        self.assertGreater(options["CONNECTIONS"], 120_000)
        self.assertIn("--followers 120000", options["DRIVER_OPTIONS"])
        self.assertIn("--duration 180s", options["DRIVER_OPTIONS"])

    def test_fewer_updates_than_show_anything_are_refused(self):
        with self.assertRaises(SystemExit), redirect_stderr(io.StringIO()):
            parse(["--updates", "4"])


def look(waiters, resident_mib=250, end=0):
    return {"record": "look", "at": 1.0, "waiters": waiters, "residentBytes": resident_mib * MIB, "openFiles": waiters + 30, "endOffset": end}


def driver(**changed):
    figures = {"followers": FOLLOWERS, "is_complete": True, "problems": [], "updates_due": 6, "updates_taken": 6, "updates_received_by_all": 6,
               "until_all_wait_seconds": 35.0, "update_p50_ms": 40.0, "last_receipt_p50_ms": 16_000.0, "last_receipt_p99_ms": 20_000.0,
               "server_cpu_us_per_delivery": 480.0}
    return {"record": "driver", "status": 0, "complaint": "", "figures": {**figures, **changed}}


GUEST = {"record": "guest", "plan": "executors 1, acceptors 1, shards 4, lane spin 0 us"}
AFTER = {"record": "after", "healthStatus": 0, "health": {"status": "healthy"}, "waiters": 0, "warnings": 0,
         "metrics": {"inventory_feed_events_delivered_total": 6 * FOLLOWERS}}
STOPPED = {"record": "stopped", "status": 0}
GOOD = [GUEST, look(0, 50), look(30_000), look(FOLLOWERS, 250), look(FOLLOWERS, 255, end=1), driver(), AFTER, STOPPED]


def of(*all_records):
    return Records("".join(json.dumps(record) + "\n" for record in all_records))


class Verdict(unittest.TestCase):
    def complaints(self, *all_records):
        return problems(of(*all_records), FOLLOWERS, 6)

    def test_what_was_to_be_shown_is(self):
        self.assertEqual(self.complaints(*GOOD), [])

    def test_one_that_does_not_wait_is_one_too_few(self):
        few = [record for record in GOOD if record["record"] != "look"] + [look(FOLLOWERS - 1)]
        self.assertEqual(self.complaints(*few), ["the gauge never read 40000, at most 39999"])

    def test_each_thing_that_is_not_so_is_said(self):
        for instead, said in [
                (driver(is_complete=False, problems=["a follower is at 2"]), "a follower is at 2"),
                (driver(updates_received_by_all=5), "5 updates reached all, not 6"),
                (driver(updates_due=7), "of 7 updates 6 were taken"),
                ({**AFTER, "metrics": {}}, "the server counts None deliveries"),
                (driver(followers=10), "10 followed"),
                ({**driver(), "status": 1, "complaint": "no sockets"}, "no sockets"),
                ({**AFTER, "health": {"status": "failed"}}, "/health says"),
                ({**AFTER, "waiters": 7}, "7 wait"),
                ({**AFTER, "warnings": 2}, "2 warnings"),
                ({**STOPPED, "status": 139}, "ended with 139"),
                ({**GUEST, "plan": "executors 2, acceptors 2, shards 4"}, "not on one core")]:
            replaced = [instead if record["record"] == instead["record"] else record for record in GOOD]
            found = self.complaints(*replaced)
            self.assertEqual(1, len(found), found)
            self.assertIn(said, found[0])

    def test_a_guest_that_says_nothing_has_shown_nothing(self):
        self.assertTrue(self.complaints())
        self.assertEqual(shown(of(), FOLLOWERS), {})
        gave_up = self.complaints({"record": "failed", "problem": "the server ended"})
        self.assertEqual(gave_up[0], "the guest gave up: the server ended")

    def test_a_line_that_is_cut_is_an_error(self):
        with self.assertRaises(ValueError):
            Records('{"record":"look","at":1')

    def test_memory_is_what_waiting_followers_add(self):
        figures = shown(of(*GOOD), FOLLOWERS)
        self.assertEqual({"alone": 50.0, "allWait": 255.0}, figures["serverResidentMib"])
        self.assertEqual(5.25, figures["serverKibPerFollower"])
        self.assertEqual((2, 2), (figures["looksWithAllWaiting"], figures["feedEndsAtWhichAllWaited"]))
        self.assertTrue(figures["isBeyondCounter"])


if __name__ == "__main__":
    unittest.main()
