//! The CPU time of a thread, also as another thread sees it.

use std::time::Duration;

/// A thread's CPU clock, and what it showed when it was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock {
    id: libc::clockid_t,
    start: Duration,
}

impl CpuClock {
    /// The calling thread's clock. It can be read by every thread of the process as long as the
    /// calling one lives.
    pub(crate) fn of_this_thread() -> Self {
        let mut id = libc::CLOCK_THREAD_CPUTIME_ID;
        #[expect(unsafe_code, reason = "the thread is the calling one, the pointer a local's")]
        let status = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut id) };
        assert!(status == 0, "every thread has a CPU clock");
        Self { id, start: read(id) }
    }

    /// CPU time since the clock was taken.
    pub(crate) fn elapsed(&self) -> Duration {
        read(self.id).saturating_sub(self.start)
    }

    pub(crate) fn elapsed_us(&self) -> u64 {
        self.elapsed().as_micros() as u64
    }

    /// The same clock, counted from now on.
    pub(crate) fn again(&self) -> Self {
        Self { id: self.id, start: read(self.id) }
    }
}

fn read(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[expect(unsafe_code, reason = "the pointer is a local's")]
    let status = unsafe { libc::clock_gettime(id, &raw mut time) };
    if status == 0 {
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    } else {
        Duration::ZERO
    }
}
