//! What the machine must offer, checked before glommio would panic about it, and said in plain words.

use std::fmt;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::io_uring::{IoringOp, IoringRegisterOp, io_uring_register, io_uring_setup};
use rustix::process::{Resource, getrlimit};

/// The least locked memory with which an executor starts, in bytes.
pub const MEMLOCK_MIN: u64 = 512 << 10;
/// With so much locked memory every executor can register its buffers, in bytes.
pub const MEMLOCK_AMPLE: u64 = 64 << 20;

/// What executors ask of io_uring. All are there since Linux 5.6; what uses them needs 5.8.
const OPERATIONS: [(IoringOp, &str); 24] = [
    (IoringOp::Nop, "NOP"),
    (IoringOp::Readv, "READV"),
    (IoringOp::Writev, "WRITEV"),
    (IoringOp::Fsync, "FSYNC"),
    (IoringOp::ReadFixed, "READ_FIXED"),
    (IoringOp::WriteFixed, "WRITE_FIXED"),
    (IoringOp::PollAdd, "POLL_ADD"),
    (IoringOp::PollRemove, "POLL_REMOVE"),
    (IoringOp::Sendmsg, "SENDMSG"),
    (IoringOp::Recvmsg, "RECVMSG"),
    (IoringOp::Timeout, "TIMEOUT"),
    (IoringOp::TimeoutRemove, "TIMEOUT_REMOVE"),
    (IoringOp::Accept, "ACCEPT"),
    (IoringOp::LinkTimeout, "LINK_TIMEOUT"),
    (IoringOp::Connect, "CONNECT"),
    (IoringOp::Fallocate, "FALLOCATE"),
    (IoringOp::Openat, "OPENAT"),
    (IoringOp::Close, "CLOSE"),
    (IoringOp::Statx, "STATX"),
    (IoringOp::Read, "READ"),
    (IoringOp::Write, "WRITE"),
    (IoringOp::Send, "SEND"),
    (IoringOp::Recv, "RECV"),
    (IoringOp::AsyncCancel, "ASYNC_CANCEL"),
];

/// One thing that was checked.
#[derive(Debug)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What was found, or what is wrong.
    pub outcome: Result<String, Problem>,
}

/// What keeps the server from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub found: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.advice)
    }
}

impl std::error::Error for Problem {}

/// Checks io_uring and locked memory.
pub fn run() -> Vec<Check> {
    vec![
        Check {
            name: "io_uring",
            outcome: io_uring(),
        },
        Check {
            name: "locked memory",
            outcome: memlock(getrlimit(Resource::Memlock).current),
        },
    ]
}

fn io_uring() -> Result<String, Problem> {
    let mut params = rustix::io_uring::io_uring_params::default();
    // SAFETY: io_uring_setup only fills `params`; the descriptor it returns is owned and closed here.
    let ring = unsafe { io_uring_setup(1, &mut params) }.map_err(io_uring_problem)?;
    let supported = Operations::of(&ring).map_err(io_uring_problem)?;
    let missing = OPERATIONS.iter().filter(|(op, _)| !supported.has(*op));
    let missing: Vec<&str> = missing.map(|(_, name)| *name).collect();
    match missing.is_empty() {
        true => Ok(format!("allowed, all {} operations", OPERATIONS.len())),
        false => Err(Problem {
            found: format!("io_uring has no {}", missing.join(", ")),
            advice: "Linux 5.8 or later is needed".to_owned(),
        }),
    }
}

/// What a ring's kernel can do: the answer to `IORING_REGISTER_PROBE`, read as bytes, because later kernels know
/// operations that we have no name for.
#[repr(C, align(8))]
struct Operations {
    head: [u8; 16],
    operations: [[u8; 8]; Operations::COUNT_MAX],
}

impl Operations {
    const COUNT_MAX: usize = 256;
    const SUPPORTED: u8 = 1;

    fn of(ring: &OwnedFd) -> Result<Operations, Errno> {
        let mut probe = Operations {
            head: [0; 16],
            operations: [[0; 8]; Operations::COUNT_MAX],
        };
        let (at, count) = ((&raw mut probe).cast(), Operations::COUNT_MAX as u32);
        // SAFETY: `probe` is laid out as struct io_uring_probe with room for `count` operations, zeroed as the kernel
        // demands, and outlives the call.
        unsafe { io_uring_register(ring, IoringRegisterOp::RegisterProbe, at, count) }?;
        Ok(probe)
    }

    fn has(&self, operation: IoringOp) -> bool {
        let known = &self.operations[..usize::from(self.head[1])];
        let mut known = known.iter();
        known.any(|it| it[0] == operation as u8 && it[2] & Operations::SUPPORTED != 0)
    }
}

fn io_uring_problem(error: Errno) -> Problem {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let status = std::fs::read_to_string("/proc/self/status");
    let surroundings = Surroundings {
        disabled: matches!(disabled.as_deref().map(str::trim), Ok("1" | "2")),
        filtered: status.is_ok_and(|status| status.lines().any(|line| line == "Seccomp:\t2")),
    };
    Problem {
        found: format!("io_uring cannot be used ({error})"),
        advice: surroundings.advice(error).to_owned(),
    }
}

/// Where a call of io_uring was refused.
#[derive(Clone, Copy, Debug)]
struct Surroundings {
    /// The kernel setting `kernel.io_uring_disabled` is not 0.
    disabled: bool,
    /// A seccomp filter judges the process's calls.
    filtered: bool,
}

impl Surroundings {
    fn advice(self, error: Errno) -> &'static str {
        match error {
            _ if self.disabled => {
                "the kernel setting kernel.io_uring_disabled forbids it: set it to 0 (sysctl -w \
                 kernel.io_uring_disabled=0); a container also needs --security-opt \
                 seccomp=tuning/container/seccomp.json"
            }
            // podman's profile refuses what it does not list with ENOSYS, as an old kernel would; docker's with EPERM.
            Errno::PERM | Errno::ACCESS | Errno::NOSYS if self.filtered => {
                "the container's seccomp profile forbids it: run the container with --security-opt \
                 seccomp=tuning/container/seccomp.json, a file of central-inventory's repository; a CPU set or a CPU \
                 quota is no obstacle"
            }
            Errno::NOSYS => {
                "the kernel is too old or was built without it: Linux 5.8 or later is needed"
            }
            Errno::PERM | Errno::ACCESS => {
                "a security module or a sandbox forbids it: allow io_uring_setup, io_uring_enter and io_uring_register"
            }
            Errno::NOMEM => {
                "locked memory is too small: raise it (ulimit -l, or --ulimit memlock=-1)"
            }
            _ => "see io_uring_setup(2)",
        }
    }
}

fn memlock(limit: Option<u64>) -> Result<String, Problem> {
    match limit {
        None => Ok("unlimited".to_owned()),
        Some(bytes) if bytes >= MEMLOCK_MIN => Ok(format!("{} KiB", bytes >> 10)),
        Some(bytes) => Err(Problem {
            found: format!(
                "the limit of locked memory is {} KiB, at least {} KiB are needed",
                bytes >> 10,
                MEMLOCK_MIN >> 10
            ),
            advice:
                "raise it (ulimit -l, LimitMEMLOCK= in systemd, or docker run --ulimit memlock=-1)"
                    .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_every_operation_and_one_that_does_not_exist_is_missed() {
        assert_eq!(
            Ok(format!("allowed, all {} operations", OPERATIONS.len())),
            io_uring()
        );
        let none = Operations {
            head: [0; 16],
            operations: [[0; 8]; Operations::COUNT_MAX],
        };
        assert!(!none.has(IoringOp::Nop));
    }

    #[test]
    fn locked_memory_is_enough_from_the_least_on() {
        assert_eq!(Ok("512 KiB".to_owned()), memlock(Some(MEMLOCK_MIN)));
        assert_eq!(Ok("unlimited".to_owned()), memlock(None));
        let problem = memlock(Some(MEMLOCK_MIN - 1)).unwrap_err().to_string();
        assert!(problem.contains("511 KiB") && problem.contains("LimitMEMLOCK="));
    }

    const OPTION: &str = "--security-opt seccomp=tuning/container/seccomp.json";

    fn advice(error: Errno, disabled: bool, filtered: bool) -> &'static str {
        Surroundings { disabled, filtered }.advice(error)
    }

    #[test]
    fn a_container_without_io_uring_is_told_the_option_whatever_its_engine_answers() {
        for error in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
            let advice = advice(error, false, true);
            assert!(
                advice.contains(OPTION) && !advice.contains("kernel"),
                "{advice}"
            );
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(root.join("tuning/container/seccomp.json").is_file());
    }

    #[test]
    fn an_old_kernel_is_not_taken_for_a_profile() {
        let advice = advice(Errno::NOSYS, false, false);
        assert!(
            advice.contains("5.8") && !advice.contains("seccomp"),
            "{advice}"
        );
    }

    #[test]
    fn the_setting_of_the_kernel_is_named_also_in_a_container() {
        for filtered in [false, true] {
            let advice = advice(Errno::PERM, true, filtered);
            assert!(advice.contains("kernel.io_uring_disabled=0"), "{advice}");
        }
    }
}
