//! E0373: what is declared in the block ends before the scope does, so a child must own it.

use stackio::task_group;

fn main() {
    let _ended = task_group(|g| {
        let n = 1;
        #[cfg(not(feature = "twin"))]
        g.spawn(|| Ok(n + 1)); //~
        #[cfg(feature = "twin")]
        g.spawn(move || Ok(n + 1));
        Ok(())
    });
}
