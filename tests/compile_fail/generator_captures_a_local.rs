//! E0373: a generator can be kept, so its body owns what it uses.

use stackio::Generator;

fn main() {
    let n = 1;
    #[cfg(not(feature = "twin"))]
    let generator: Generator<(), u32, ()> = Generator::new(|co| co.yield_(n)); //~
    #[cfg(feature = "twin")]
    let generator: Generator<(), u32, ()> = Generator::new(move |co| co.yield_(n));
    let _started = generator.start();
}
