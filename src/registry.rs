//! A place for each of many things, given out and taken back in constant time.

use std::rc::Rc;

/// Room for so many is kept.
const FEW: usize = 256;

/// Owns things by place; a place that is free again is given out next.
pub(crate) struct Registry<T: ?Sized> {
    places: Vec<Option<Rc<T>>>,
    free: Vec<usize>,
}

impl<T: ?Sized> Registry<T> {
    pub(crate) const fn new() -> Registry<T> {
        Registry { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
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

    /// Looks at the one that is there, if any is.
    #[inline(always)]
    pub(crate) fn with(&self, place: usize, look: impl FnOnce(&Rc<T>)) {
        if let Some(Some(thing)) = self.places.get(place) {
            look(thing);
        }
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<Rc<T>> {
        let thing = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(thing)
    }

    /// Forgets the free places at the end, if those are most of all, and the room for them.
    pub(crate) fn shrink(&mut self) {
        let used = self.places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        if self.places.capacity() < 2 * used + FEW {
            return;
        }
        let mut places = Vec::with_capacity(used);
        places.extend(self.places.drain(..used));
        self.places = places;
        self.free = self.free.iter().copied().filter(|&place| place < used).collect();
    }

    /// All of them, in the order of their places.
    pub(crate) fn all(&self) -> Vec<Rc<T>> {
        self.places.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shrinks_keeps_its_places() {
        let mut registry = Registry::new();
        let places: Vec<usize> = (0..10_000).map(|n| registry.insert(Rc::new(n))).collect();
        for &place in places.iter().filter(|&&place| place != 3 && place != 7) {
            registry.remove(place);
        }
        registry.shrink();
        assert_eq!(registry.places.len(), 8);
        assert!(registry.places.capacity() < 100 && registry.free.capacity() < 100);
        assert_eq!(registry.get(3).as_deref(), Some(&3));
        assert_eq!(registry.get(9_000), None);
        // What is free is given out first, and each place once.
        let mut given: Vec<usize> = (0..8).map(|n| registry.insert(Rc::new(n))).collect();
        given.sort_unstable();
        assert_eq!(given, [0, 1, 2, 4, 5, 6, 8, 9]);
        assert_eq!(registry.all().len(), 10);
    }
}
