//! A place for each of many things, given out and taken back in constant time.

use std::mem;
use std::rc::Rc;

/// Room for so many is kept.
const FEW: usize = 256;

/// Owns things by place; the place that became free last is given out next.
pub(crate) struct Registry<T: ?Sized> {
    places: Vec<Place<T>>,
    /// The place that became free last, or one behind the end.
    next: usize,
    taken: usize,
}

enum Place<T: ?Sized> {
    Taken(Rc<T>),
    /// The place to give out after this one.
    Free(usize),
}

impl<T: ?Sized> Place<T> {
    fn thing(&self) -> Option<&Rc<T>> {
        match self {
            Place::Taken(thing) => Some(thing),
            Place::Free(_) => None,
        }
    }
}

impl<T: ?Sized> Registry<T> {
    pub(crate) const fn new() -> Registry<T> {
        Registry { places: Vec::new(), next: 0, taken: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    #[inline]
    pub(crate) fn insert(&mut self, thing: Rc<T>) -> usize {
        let at = self.next;
        self.taken += 1;
        match self.places.get_mut(at) {
            Some(place) => {
                if let Place::Free(next) = mem::replace(place, Place::Taken(thing)) {
                    self.next = next;
                }
            }
            None => {
                self.places.push(Place::Taken(thing));
                self.next = at + 1;
            }
        }
        at
    }

    pub(crate) fn get(&self, place: usize) -> Option<Rc<T>> {
        self.places.get(place)?.thing().cloned()
    }

    /// Looks at the one that is there, if any is.
    #[inline(always)]
    pub(crate) fn with(&self, place: usize, look: impl FnOnce(&Rc<T>)) {
        if let Some(Place::Taken(thing)) = self.places.get(place) {
            look(thing);
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, place: usize) -> Option<Rc<T>> {
        let slot = self.places.get_mut(place)?;
        slot.thing()?;
        let Place::Taken(thing) = mem::replace(slot, Place::Free(self.next)) else { return None };
        self.next = place;
        self.taken -= 1;
        Some(thing)
    }

    /// Forgets the free places at the end, if those are most of all, and the room for them.
    pub(crate) fn shrink(&mut self) {
        let is_taken = |place: &Place<T>| place.thing().is_some();
        let used = self.places.iter().rposition(is_taken).map_or(0, |last| last + 1);
        if self.places.capacity() < 2 * used + FEW {
            return;
        }
        let mut places = Vec::with_capacity(used);
        places.extend(self.places.drain(..used));
        self.places = places;
        self.next = used;
        for (at, place) in self.places.iter_mut().enumerate() {
            if let Place::Free(next) = place {
                *next = mem::replace(&mut self.next, at);
            }
        }
    }

    /// All of them, in the order of their places.
    pub(crate) fn all(&self) -> Vec<Rc<T>> {
        self.places.iter().filter_map(Place::thing).cloned().collect()
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
        assert!(registry.places.capacity() < 100);
        assert_eq!(registry.get(3).as_deref(), Some(&3));
        assert_eq!(registry.get(9_000), None);
        // What is free is given out first, and each place once.
        let mut given: Vec<usize> = (0..8).map(|n| registry.insert(Rc::new(n))).collect();
        given.sort_unstable();
        assert_eq!(given, [0, 1, 2, 4, 5, 6, 8, 9]);
        assert_eq!(registry.all().len(), 10);
    }
}
