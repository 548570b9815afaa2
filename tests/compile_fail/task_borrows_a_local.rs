//! E0597: nor can it be given a reference, except to what lives for ever.

use stackio::spawn;

fn main() {
    let words = Box::new(String::from("of the caller"));
    #[cfg(not(feature = "twin"))]
    let borrowed = &*words; //~
    #[cfg(feature = "twin")]
    let borrowed = Box::leak(words);
    spawn(move || Ok(borrowed.len()));
}
