//! E0597: nor does a way round by shared data lead out of the block.

use std::cell::RefCell;
use std::rc::Rc;

use stackio::task_group;

fn main() {
    let shared: Rc<RefCell<Vec<&str>>> = Rc::default();
    let _ended = task_group(|g| {
        let theirs = shared.clone();
        g.spawn(move || Ok(theirs.borrow().concat()));
        let word = String::from("short");
        #[cfg(not(feature = "twin"))]
        shared.borrow_mut().push(&word); //~
        #[cfg(feature = "twin")]
        shared.borrow_mut().push(if word.is_empty() { "" } else { "long" });
        Ok(())
    });
}
