//! Why the kernel refused: which limit was met, and what helps.

use std::fs;
use std::io;

/// Which limit made `Mapping::new` fail, and what helps.
pub(crate) fn why_not_mapped(error: &io::Error) -> String {
    if error.raw_os_error() != Some(libc::ENOMEM) {
        return error.to_string();
    }
    for (name, flag, kind) in [
        ("RLIMIT_AS", "ulimit -v", limit(libc::RLIMIT_AS)),
        ("RLIMIT_DATA", "ulimit -d", limit(libc::RLIMIT_DATA)),
    ] {
        if let Some(bytes) = kind {
            return format!(
                "the address space of the process is limited ({name} = {bytes} bytes); \
                 raise it with {flag}, or ask for smaller stacks"
            );
        }
    }
    if setting("overcommit_memory").as_deref() == Some("2") {
        return "the kernel promises no more memory than it has (vm.overcommit_memory = 2); \
                set it to 0 or 1 with sysctl, or raise vm.overcommit_ratio"
            .into();
    }
    too_many_mappings()
}

/// Which limit made `Mapping::guard` fail, and what helps.
pub(crate) fn why_not_guarded(error: &io::Error) -> String {
    // A guard needs no memory: ENOMEM is the count of mappings.
    match error.raw_os_error() {
        Some(libc::ENOMEM) => too_many_mappings(),
        _ => error.to_string(),
    }
}

fn too_many_mappings() -> String {
    match setting("max_map_count") {
        Some(count) => format!(
            "the limit of memory mappings is reached (vm.max_map_count = {count}); raise it \
             with sysctl, or run Linux 6.13 or later, where guards cost no mapping"
        ),
        None => "the process may have no more memory mappings".into(),
    }
}

/// One of Linux's `vm.` settings.
pub(super) fn setting(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/vm/{name}")).ok()?;
    Some(text.trim().to_owned())
}

/// The process's own limit, if it has one.
fn limit(resource: Resource) -> Option<libc::rlim_t> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel fills in the struct we own.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
type Resource = libc::c_int;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_the_limit() {
        let error = io::Error::from_raw_os_error(libc::ENOMEM);
        assert!(why_not_guarded(&error).contains("memory mappings"));
    }
}
