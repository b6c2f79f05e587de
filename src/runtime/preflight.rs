//! What the machine must offer, checked before glommio would panic about it, and said in plain words.

use rustix::process::{Resource, getrlimit};

/// The least locked memory with which an executor starts, in bytes.
const MEMLOCK_MIN: u64 = 512 << 10;

/// One thing that was checked.
#[derive(Debug)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What was found, or what is wrong and what to do.
    pub outcome: Result<String, String>,
}

/// Checks io_uring and locked memory.
pub fn run() -> Vec<Check> {
    vec![
        Check {
            name: "io_uring",
            outcome: io_uring(),
        },
        Check {
            name: "locked memory",
            outcome: memlock(),
        },
    ]
}

fn io_uring() -> Result<String, String> {
    let mut params = rustix::io_uring::io_uring_params::default();
    // SAFETY: io_uring_setup only fills `params`; the descriptor it returns is owned and closed at once.
    match unsafe { rustix::io_uring::io_uring_setup(1, &mut params) } {
        Ok(_descriptor) => Ok("available".to_owned()),
        Err(error) => Err(io_uring_advice(error)),
    }
}

fn io_uring_advice(error: rustix::io::Errno) -> String {
    use rustix::io::Errno;
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let advice = match (disabled.as_deref().map(str::trim), error) {
        (Ok("1" | "2"), _) => {
            "the kernel setting kernel.io_uring_disabled forbids it: set it to 0 (sysctl -w kernel.io_uring_disabled=0)"
        }
        (_, Errno::NOSYS) => {
            "the kernel is too old or was built without it: Linux 5.8 or later is needed"
        }
        (_, Errno::PERM | Errno::ACCESS) => {
            "a seccomp profile forbids it: in a container, allow io_uring_setup, io_uring_enter and \
             io_uring_register (docker run --security-opt seccomp=<profile>)"
        }
        (_, Errno::NOMEM) => {
            "locked memory is too small: raise it (ulimit -l, or --ulimit memlock=-1)"
        }
        _ => "see io_uring_setup(2)",
    };
    format!("io_uring cannot be used ({error}): {advice}")
}

fn memlock() -> Result<String, String> {
    match getrlimit(Resource::Memlock).current {
        None => Ok("unlimited".to_owned()),
        Some(bytes) if bytes >= MEMLOCK_MIN => Ok(format!("{} KiB", bytes >> 10)),
        Some(bytes) => Err(format!(
            "the limit of locked memory is {} KiB, at least {} KiB are needed: raise it (ulimit -l, LimitMEMLOCK= \
             in systemd, or docker run --ulimit memlock=-1)",
            bytes >> 10,
            MEMLOCK_MIN >> 10
        )),
    }
}
