"""Programs whose number of instructions is known, made here byte by byte: what is read for them shows what the guest's nanoseconds are. Each sleeps when
it has counted, since the kernel's figure of a process is exact only while it does not run."""
import struct

ADDRESS = 0x400000
HEADERS = 64 + 56
MEMORY = 0x10000
REPEATED = 4096

COUNTS = (20_000_000, 200_000_000)
REPEATS = 5_000
SLEEP = b"\xb8\x22\x00\x00\x00\x0f\x05"  # mov eax, 34 (pause); syscall


def programs():
    """By name. The name says how many instructions there are; of `repeat`, how many bytes its one instruction with a prefix stores, as often as it is run."""
    return {**{f"count-{count}": program(counting(count // 2)) for count in COUNTS},
            f"repeat-{REPEATS * REPEATED}": program(repeating(REPEATS))}


def counting(rounds):
    # mov rcx, rounds; again: dec rcx; jnz again
    return b"\x48\xb9" + struct.pack("<Q", rounds) + b"\x48\xff\xc9" + b"\x75\xfb" + SLEEP


def repeating(rounds):
    # mov r8, rounds; again: mov ecx, REPEATED; mov edi, buffer; rep stosb; dec r8; jnz again
    return (b"\x49\xb8" + struct.pack("<Q", rounds) + b"\xb9" + struct.pack("<I", REPEATED) + b"\xbf" + struct.pack("<I", ADDRESS + REPEATED)
            + b"\xf3\xaa" + b"\x49\xff\xc8" + b"\x75\xef" + SLEEP)


def program(code):
    """As an ELF file with one segment, which may be read, written and executed."""
    size = HEADERS + len(code)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, ADDRESS + HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, ADDRESS, ADDRESS, size, MEMORY, 4096)
    return head + segment + code
