//! A list that mostly has one thing in it, and then costs no allocation.

use std::mem;

/// None, one, or several things in order.
#[derive(Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    /// Stays a list once it has been one.
    Many(Vec<T>),
}

impl<T> Few<T> {
    #[inline(always)]
    pub(crate) fn push(&mut self, thing: T) {
        match self {
            Few::None => *self = Few::One(thing),
            _ => self.push_another(thing),
        }
    }

    #[cold]
    fn push_another(&mut self, thing: T) {
        match mem::take(self) {
            Few::None => *self = Few::One(thing),
            Few::One(first) => *self = Few::Many(vec![first, thing]),
            Few::Many(mut things) => {
                things.push(thing);
                *self = Few::Many(things);
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(thing) => std::slice::from_ref(thing),
            Few::Many(things) => things,
        }
    }

    /// Takes out those that are wanted, in order.
    pub(crate) fn extract(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Few<T> {
        match self {
            Few::One(thing) if wanted(thing) => mem::take(self),
            Few::None | Few::One(_) => Few::None,
            Few::Many(things) => Few::Many(things.extract_if(.., |thing| wanted(thing)).collect()),
        }
    }

    #[inline(always)]
    pub(crate) fn for_each(self, mut call: impl FnMut(T)) {
        match self {
            Few::None => {}
            Few::One(thing) => call(thing),
            Few::Many(things) => things.into_iter().for_each(call),
        }
    }
}
