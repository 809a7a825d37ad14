//! Why a call from a guest does not succeed: an errno for it to see, or the end of its run.

/// The errno values of preview1 that this implementation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    Badf = 8,
    Exist = 20,
    Fault = 21,
    Fbig = 22,
    Ilseq = 25,
    Inval = 28,
    Isdir = 31,
    Mfile = 33,
    Nametoolong = 37,
    Noent = 44,
    Nomem = 48,
    Nospc = 51,
    Notdir = 54,
    Notempty = 55,
    Notsock = 57,
    Notsup = 58,
    Overflow = 61,
    Rofs = 69,
    Spipe = 70,
    Notcapable = 76,
}

/// What ends a run from the host's side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the guest exited with {0}")]
    Exit(u32),
    #[error("the guest's output is over its limit")]
    OutputTooLarge,
    #[error("the guest's fuel is used up")]
    OutOfFuel,
    /// No memory or scratch space here: says nothing about the unit.
    #[error("this machine has no room: {0}")]
    HostMemory(String),
    /// An input is not what it was said to be, or the module cannot be served.
    #[error("{0}")]
    Refused(String),
}

/// Why a call does not succeed.
#[derive(Debug)]
pub(crate) enum Stop {
    Errno(Errno),
    End(End),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}
