//! What the system lets this process have.
use std::path::Path;

/// The smaller of the machine's memory and what the control groups of this process allow, in bytes.
pub(crate) fn memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(groups.lines().filter_map(group_limit)).min()
}

/// `MemTotal` of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit on the way from a group of `/proc/self/cgroup` up to its root.
fn group_limit(line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    // Version 2 has one line with number 0 and no controllers; version 1 one per controller. Inside a container the
    // mount often shows the group itself as the root: the walk up ends there.
    let (root, file) = match (id, controllers) {
        ("0", "") => ("/sys/fs/cgroup", "memory.max"),
        (_, list) if list.split(',').any(|one| one == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let path = Path::new(path.trim_start_matches('/'));
    let limits = path.ancestors().filter_map(|group| {
        let text = std::fs::read_to_string(Path::new(root).join(group).join(file)).ok()?;
        text.trim().parse::<u64>().ok() // "max": no limit
    });
    limits.min()
}

/// The soft limit of open files.
#[cfg(unix)]
pub(crate) fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
#[cfg(not(unix))]
pub(crate) fn descriptors() -> Option<u64> {
    None
}

/// Raises the soft limit of open files to the hard one and returns both, `u64::MAX` where there is no limit.
///
/// A program that serves many peers calls it once, at the start; a system that refuses leaves things as they are.
#[cfg(unix)]
pub fn raise_descriptor_limit() -> (u64, u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    let after = getrlimit(Resource::Nofile);
    (after.current.unwrap_or(u64::MAX), after.maximum.unwrap_or(u64::MAX))
}
/// Raises the soft limit of open files to the hard one and returns both, `u64::MAX` where there is no limit.
#[cfg(not(unix))]
pub fn raise_descriptor_limit() -> (u64, u64) {
    (u64::MAX, u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_read() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        for bad in
            ["", "MemTotal: x kB", "MemTotal: 99999999999999999999 kB", "MemTotal: 18446744073709551615 kB"]
        {
            assert_eq!(total(bad), None, "{bad}");
        }
        #[cfg(target_os = "linux")]
        assert!(memory().unwrap() > 1 << 20);
    }

    #[test]
    fn a_strange_group_line_is_skipped() {
        for line in ["", "1:name=systemd:/", "x", "3:cpuset:/", "0::/no/such/group/at/all/../.."] {
            let _ = group_limit(line);
        }
        assert_eq!(group_limit("3:cpuset:/"), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
        let (soft, hard) = raise_descriptor_limit();
        assert_eq!(soft, hard);
        assert_eq!(descriptors().unwrap_or(u64::MAX), soft);
    }
}
