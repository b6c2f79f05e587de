"""What Debian brings: a kernel for the guest, unpacked in a directory of ours and never installed."""
import re
from dataclasses import dataclass
from pathlib import Path

from harness.process import run

# Each program, and the package that brings it.
PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "mke2fs": "e2fsprogs", "apt-get": "apt", "dpkg-deb": "dpkg",
            "ldd": "libc-bin", "setpriv": "util-linux", "findmnt": "util-linux"}
# The newest kernel of its kind is what it depends on. It has ext4, io_uring and serial ports built in, and few modules.
KERNEL = "linux-image-cloud-amd64"
# For the disk, in an order in which each finds what it needs.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
DOWNLOAD_SECONDS_MAX = 300


@dataclass(frozen=True)
class Kernel:
    package: str
    image: Path
    # In the order in which they are loaded.
    modules: tuple


def kernel(directory, chosen=None):
    """Of the package file `chosen`, or of Debian's newest. It is all in `directory`."""
    package = chosen or download(directory)
    unpacked = directory / "kernel"
    run(["dpkg-deb", "--extract", package, unpacked])
    modules = tuple(only(unpacked.glob(f"lib/modules/*/kernel/**/{name}.ko"), name) for name in MODULES)
    return Kernel(package.name, only(unpacked.glob("boot/vmlinuz-*"), "vmlinuz"), modules)


def download(directory):
    name = dependency(run(["apt-cache", "show", "--no-all-versions", KERNEL]))
    # Its user may not write where we may.
    run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name], DOWNLOAD_SECONDS_MAX, cwd=directory)
    return only(directory.glob("*.deb"), f"{name}.deb")


def dependency(description):
    """The kernel that Debian's description of `KERNEL` names."""
    if found := re.search(r"^Depends:.*?(linux-image-[^ ,]+)", description, re.MULTILINE):
        return found[1]
    raise RuntimeError(f"{KERNEL} is not known here: apt-get update, which `--install` does")


def only(paths, name):
    found = list(paths)
    if len(found) != 1:
        raise RuntimeError(f"the kernel's package has {len(found)} of {name}, not one")
    return found[0]
