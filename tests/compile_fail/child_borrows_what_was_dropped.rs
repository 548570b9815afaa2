//! E0505: what a child has borrowed stays where it is until the scope has ended.

use stackio::task_group;

fn main() {
    let words = vec![String::from("one")];
    let borrowed = &words;
    #[cfg(not(feature = "twin"))]
    drop(words); //~
    let _ended = task_group(|g| {
        g.spawn(move || Ok(borrowed.len()));
        Ok(())
    });
}
