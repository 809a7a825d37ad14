//! What a worker gives up before it sees the first byte of a guest.

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

/// Descriptors a worker may have: a guest's, its inputs' and its spilled files'.
const DESCRIPTORS: u64 = 4096;

/// Closes everything but the three streams, however the parent was started.
///
/// To be called before there is a second thread.
pub(super) fn close_inherited() {
    #[cfg(target_os = "linux")]
    {
        let (first, last, flags): (libc::c_uint, libc::c_uint, libc::c_uint) = (3, u32::MAX, 0);
        #[expect(unsafe_code, reason = "nothing in this process has opened a descriptor yet")]
        unsafe {
            libc::syscall(libc::SYS_close_range, first, last, flags);
        }
    }
}

/// Gives up priority and privileges; returns the layers of isolation that are missing.
///
/// Landlock (nothing but the cache, the scratch folder and the inputs), the seccomp allow-list and
/// limits on memory belong here, before [`super::serve`] takes the first order.
pub(super) fn lock_down() -> Vec<String> {
    let mut missing = vec!["landlock".to_owned(), "seccomp".to_owned()];
    if nice(19).is_err() {
        missing.push("low priority".to_owned());
    }
    if rustix::thread::set_no_new_privs(true).is_err() {
        missing.push("no_new_privs".to_owned());
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if setrlimit(Resource::Core, none).is_err() {
        missing.push("no core dumps".to_owned());
    }
    let most = getrlimit(Resource::Nofile).maximum;
    let current = Some(most.unwrap_or(DESCRIPTORS).min(DESCRIPTORS));
    // With fewer, a guest with hundreds of open inputs is refused here.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum: most });
    missing
}
