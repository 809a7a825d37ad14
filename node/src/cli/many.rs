//! Doing many small things several at a time, up to the first that goes wrong.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::failure::Outcome;

/// Well below the connections that a node takes.
const AT_ONCE: usize = 8;

/// Does `work` for each item, in no particular order.
pub(crate) fn for_each<T: Sync>(
    items: &[T],
    work: impl Fn(&T) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let next = AtomicUsize::new(0);
    let one_after_another = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item).inspect_err(|_| {
                // The others need not begin anything more.
                next.store(items.len(), Ordering::Relaxed);
            })?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads = AT_ONCE.min(items.len());
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one_after_another)).collect();
        all.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::{End, Failure};

    #[test]
    fn everything_is_done_once_or_the_first_failure_told() {
        let items: Vec<usize> = (0..1000).collect();
        let sum = AtomicUsize::new(0);
        let add = |item: &usize| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(for_each(&items, add), Ok(()));
        assert_eq!(sum.load(Ordering::Relaxed), 499_500);
        assert_eq!(for_each(&[], add), Ok(()));
        let failure = Failure::new(End::Failed, "x", "y");
        assert_eq!(for_each(&items, |_| Err(failure.clone())), Err(failure.clone()));
    }
}
