//! E0373: a task may outlive whoever spawns it, so it owns what it uses.

use stackio::spawn;

fn main() {
    let n = 1;
    #[cfg(not(feature = "twin"))]
    spawn(|| Ok(n + 1)); //~
    #[cfg(feature = "twin")]
    spawn(move || Ok(n + 1));
}
