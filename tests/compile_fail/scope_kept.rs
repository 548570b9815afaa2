//! E0521: a scope cannot be kept, to spawn into when its block has been left.

use stackio::task_group;

fn main() {
    let mut kept = None;
    let _ended = task_group(|g| {
        #[cfg(not(feature = "twin"))]
        let scope = g;
        #[cfg(feature = "twin")]
        let scope = g.group().clone();
        kept = Some(scope); //~
        Ok(())
    });
    drop(kept);
}
