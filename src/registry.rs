//! A place for each of many things, given out and taken back in constant time.

use std::rc::Rc;

/// Owns things by place; a place that is free again is given out next.
pub(crate) struct Registry<T: ?Sized> {
    places: Vec<Option<Rc<T>>>,
    free: Vec<usize>,
}

impl<T: ?Sized> Registry<T> {
    pub(crate) const fn new() -> Registry<T> {
        Registry { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, thing: Rc<T>) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(thing);
                place
            }
            None => {
                self.places.push(Some(thing));
                self.places.len() - 1
            }
        }
    }

    pub(crate) fn get(&self, place: usize) -> Option<Rc<T>> {
        self.places.get(place)?.clone()
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<Rc<T>> {
        let thing = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    /// All of them, in the order of their places.
    pub(crate) fn all(&self) -> Vec<Rc<T>> {
        self.places.iter().flatten().cloned().collect()
    }
}
