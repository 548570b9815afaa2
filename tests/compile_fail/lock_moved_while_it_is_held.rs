//! E0505: a lock cannot be moved while a guard of it lives.

use stackio::{Lock, Result};

fn take() -> Result {
    let lock = Lock::new();
    let guard = lock.lock()?;
    #[cfg(feature = "twin")]
    drop(guard);
    let _moved = lock; //~
    #[cfg(not(feature = "twin"))]
    drop(guard);
    Ok(())
}

fn main() {
    let _ended = take();
}
