//! E0521: the body's reference to its yielder ends with the body; a clone of it may stay.

use std::cell::RefCell;
use std::rc::Rc;

use stackio::Generator;

fn main() {
    let kept = Rc::new(RefCell::new(None));
    let place = kept.clone();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        #[cfg(not(feature = "twin"))]
        place.replace(Some(co)); //~
        #[cfg(feature = "twin")]
        place.replace(Some(co.clone()));
        co.yield_(1)
    });
    let _started = generator.start();
    drop(kept);
}
