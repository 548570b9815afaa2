//! E0597: a child's result may borrow, and may leave the scope, but not what it borrows from.

use stackio::{Result, task_group};

fn longest() -> Result<usize> {
    #[cfg(feature = "twin")]
    let words = ["one".to_owned(), "three".to_owned()];
    let found = {
        #[cfg(not(feature = "twin"))]
        let words = ["one".to_owned(), "three".to_owned()];
        task_group(|g| g.spawn(|| Ok(words[1].as_str())).join())? //~
    };
    Ok(found.len())
}

fn main() {
    let _ended = longest();
}
