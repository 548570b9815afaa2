//! Which tasks are in a semaphore.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::coroutines::current;
use crate::instruments::FutureId;
use crate::task_core::{Name, task_core};

/// So many tasks at a time are noted without an allocation.
const FEW: usize = 4;

/// Tasks by their number. Whoever is not a task is not noted.
pub(super) struct Holders(RefCell<HashMap<FutureId, Held, BuildHasherDefault<ByNumber>>>);

struct Held {
    /// Its name when it came in.
    name: Name,
    times: usize,
}

/// Numbers are given out in order: they need no more than spreading.
#[derive(Default)]
struct ByNumber(u64);

impl Hasher for ByNumber {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Holders {
    pub(super) fn new() -> Holders {
        Holders(RefCell::new(HashMap::with_capacity_and_hasher(FEW, BuildHasherDefault::default())))
    }

    /// The task that is running has come in; its number.
    pub(super) fn enter(&self) -> Option<FutureId> {
        let task = current()?;
        let name = || task_core(&*task).map(|core| core.name());
        let (id, mut holders) = (task.core().id(), self.0.borrow_mut());
        match holders.get_mut(&id) {
            Some(held) => held.times += 1,
            None => {
                holders.insert(id, Held { name: name()?, times: 1 });
            }
        }
        Some(id)
    }

    /// That task has left. If it was never in, some other task's place was given
    /// back for it.
    pub(super) fn leave(&self, id: Option<FutureId>) {
        let mut holders = self.0.borrow_mut();
        let own = id.filter(|id| holders.contains_key(id));
        let Some(id) = own.or_else(|| holders.keys().next().copied()) else { return };
        if let Some(held) = holders.get_mut(&id) {
            held.times -= 1;
            if held.times == 0 {
                holders.remove(&id);
            }
        }
    }

    /// Their names, in the order in which the tasks were made.
    pub(super) fn names(&self) -> Vec<String> {
        let holders = self.0.borrow();
        let mut names: Vec<_> = holders.iter().map(|(id, held)| (*id, held)).collect();
        names.sort_unstable_by_key(|(id, _)| *id);
        names.into_iter().map(|(_, held)| held.name.to_string()).collect()
    }
}
