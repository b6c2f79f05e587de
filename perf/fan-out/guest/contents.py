"""What the guest begins with: busybox, `init`, the two programs with their libraries, and the kernel's modules."""
import re
import shlex
from pathlib import Path

from guest.archive import archive, file, with_directories
from harness.process import run

INIT = Path(__file__).with_name("init")
BUSYBOX = Path("/bin/busybox")


def first_file_system(programs, modules, options, init=INIT):
    """As the kernel takes it. `programs` are files by the names that `init` knows; `options` is what `init` is told, as variables of a shell."""
    libraries = sorted({library for program in (BUSYBOX, *programs.values()) for library in libraries_of(program)})
    return archive(with_directories([
        file("init", init.read_bytes(), may_run=True),
        file("options", assignments(options).encode()),
        file("bin/busybox", BUSYBOX.read_bytes(), may_run=True),
        *[file(f"programs/{name}", program.read_bytes(), may_run=True) for name, program in programs.items()],
        *[file(library.lstrip("/"), Path(library).read_bytes(), may_run=True) for library in libraries],
        *[file(f"modules/{module.name}", module.read_bytes()) for module in modules]]))


def libraries_of(program):
    """It says that a static program has none as if it were an error."""
    return libraries(run(["sh", "-c", 'ldd "$1" 2>&1 || true', "ldd", str(program)]))


def libraries(said):
    """The files that `ldd` names. The kernel brings the one that is none."""
    return re.findall(r"(/\S+) \(0x[0-9a-f]+\)$", said, re.MULTILINE)


def assignments(options):
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in options.items())
