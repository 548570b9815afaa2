//! E0499: two children run in turns, each in the middle of the other: they cannot share a `&mut`.

use std::mem::replace;

use stackio::task_group;

fn main() {
    let mut last = 0;
    let _ended = task_group(|g| {
        g.spawn(|| Ok(replace(&mut last, 1)));
        #[cfg(not(feature = "twin"))]
        g.spawn(|| Ok(replace(&mut last, 2))); //~
        Ok(())
    });
    assert!(last < 3);
}
