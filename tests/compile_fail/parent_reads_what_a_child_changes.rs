//! E0502: while a child may write, the block cannot read; after the scope it can.

use stackio::task_group;

fn main() {
    let mut words = vec![String::from("one")];
    let _ended = task_group(|g| {
        g.spawn(|| {
            words.push(String::from("two"));
            Ok(())
        });
        #[cfg(not(feature = "twin"))]
        println!("{words:?}"); //~
        Ok(())
    });
    println!("{words:?}");
}
