//! E0597: a guard gives its lock back, which must be there.

use stackio::{Lock, Result};

fn take() -> Result {
    #[cfg(feature = "twin")]
    let lock = Lock::new();
    let guard = {
        #[cfg(not(feature = "twin"))]
        let lock = Lock::new();
        lock.lock()? //~
    };
    drop(guard);
    Ok(())
}

fn main() {
    let _ended = take();
}
