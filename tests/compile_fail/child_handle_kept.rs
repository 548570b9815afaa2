//! E0521: a handle to a child, which may hold a borrowed result, stays inside of the scope.

use stackio::task_group;

fn main() {
    let mut kept = Vec::new();
    let _ended = task_group(|g| {
        let child = g.spawn(|| Ok(String::new()));
        #[cfg(not(feature = "twin"))]
        kept.push(child); //~
        #[cfg(feature = "twin")]
        kept.push(child.join()?);
        Ok(())
    });
}
