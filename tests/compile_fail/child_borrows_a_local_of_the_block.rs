//! E0597: a reference to what is declared in the block cannot be given to a child.

use stackio::task_group;

fn main() {
    #[cfg(feature = "twin")]
    let words = String::from("of the caller");
    let _ended = task_group(|g| {
        #[cfg(not(feature = "twin"))]
        let words = String::from("of the block");
        let borrowed = &words; //~
        g.spawn(move || Ok(borrowed.len()));
        Ok(())
    });
}
