//! Timers beside a sorted list.

use proptest::prelude::*;

use super::*;

/// The number is what is compared.
struct Numbered(usize, Alarm);

impl Timed for Numbered {
    fn alarm(&self) -> &Alarm {
        &self.1
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, i64),
    Cancel(usize),
    PassTo(i64),
    Sweep,
    Shrink,
    AskEarliest,
}

const TIMERS: usize = 12;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few instants, so that many deadlines are the same.
    let step = prop_oneof![
        4 => (0..TIMERS, 0i64..20).prop_map(|(timer, delay)| Step::Set(timer, delay)),
        3 => (0..TIMERS).prop_map(Step::Cancel),
        2 => (0i64..6).prop_map(Step::PassTo),
        1 => Just(Step::Sweep),
        1 => Just(Step::Shrink),
        1 => Just(Step::AskEarliest),
    ];
    prop::collection::vec(step, 0..200)
}

/// What is set, by a list that is searched.
#[derive(Default)]
struct Naive {
    set: Vec<(i64, u64, usize)>,
    order: u64,
}

impl Naive {
    fn set(&mut self, timer: usize, when: i64) {
        self.order += 1;
        self.set.push((when, self.order, timer));
        self.set.sort_unstable();
    }

    fn cancel(&mut self, timer: usize) {
        self.set.retain(|set| set.2 != timer);
    }

    fn pop_due(&mut self, now: i64) -> Option<(i64, usize)> {
        let (when, _, timer) = *self.set.first().filter(|first| first.0 <= now)?;
        self.set.remove(0);
        Some((when, timer))
    }
}

struct Both {
    timers: Timers<Numbered>,
    naive: Naive,
    all: Vec<Rc<Numbered>>,
    now: i64,
}

impl Both {
    fn new() -> Both {
        let all = (0..TIMERS).map(|n| Rc::new(Numbered(n, Alarm::default()))).collect();
        Both { timers: Timers::new(), naive: Naive::default(), all, now: 0 }
    }

    fn cancel(&mut self, timer: usize) {
        self.naive.cancel(timer);
        if self.timers.cancel(&self.all[timer].1) {
            drop(self.timers.sweep());
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Set(number, delay) => {
                self.cancel(number);
                let timer = &self.all[number];
                let when = Instant::from_nanos(self.now + delay);
                self.timers.set(when, &timer.1, || timer.clone());
                self.naive.set(number, self.now + delay);
            }
            Step::Cancel(timer) => self.cancel(timer),
            Step::PassTo(more) => {
                self.now += more;
                loop {
                    let due = self.timers.pop_due(Instant::from_nanos(self.now));
                    let due = due.map(|(when, timer)| (when.as_nanos(), timer.0));
                    assert_eq!(due, self.naive.pop_due(self.now));
                    if due.is_none() {
                        break;
                    }
                }
            }
            Step::Sweep => drop(self.timers.sweep()),
            Step::Shrink => drop(self.timers.shrink()),
            Step::AskEarliest => {
                let earliest = self.timers.earliest().map(Instant::as_nanos);
                assert_eq!(earliest, self.naive.set.first().map(|first| first.0));
            }
        }
    }

    fn check(&mut self) {
        for timer in &self.all {
            let set = self.naive.set.iter().any(|set| set.2 == timer.0);
            assert_eq!(timer.1.is_set(), set);
        }
        assert_eq!(self.timers.heap.len() - self.timers.remnants, self.naive.set.len());
        if let Some(first) = self.naive.set.first() {
            assert!(self.timers.has_due(Instant::from_nanos(first.0)));
            assert!(!self.timers.has_due(Instant::from_nanos(first.0 - 1)));
        }
    }
}

proptest! {
    /// Timers come in the order of deadline and setting, whatever was set again,
    /// cancelled and swept before.
    #[test]
    fn the_order_is_that_of_a_sorted_list(steps in steps()) {
        let mut both = Both::new();
        for step in &steps {
            both.take(step);
            both.check();
        }
        both.take(&Step::PassTo(100));
        both.timers.drain();
        prop_assert!(both.all.iter().all(|timer| Rc::strong_count(timer) == 1));
    }
}

#[test]
fn what_is_cancelled_does_not_pile_up() {
    let mut timers = Timers::new();
    let set = |timers: &mut Timers<Numbered>, when| {
        let timer = Rc::new(Numbered(0, Alarm::default()));
        timers.set(Instant::from_nanos(when), &timer.1, || timer.clone());
        timer
    };
    let _kept = set(&mut timers, 1);
    for _ in 0..10_000 {
        let timer = set(&mut timers, 2);
        if timers.cancel(&timer.1) {
            drop(timers.sweep());
        }
        assert!(timers.heap.len() <= 2 * FEW);
    }
}

#[test]
fn one_that_is_set_again_for_later_has_one_entry() {
    let mut timers = Timers::new();
    let timer = Rc::new(Numbered(0, Alarm::default()));
    for when in 0..1000 {
        assert!(!timers.cancel(&timer.1), "nothing to sweep");
        timers.set(Instant::from_nanos(when), &timer.1, || timer.clone());
        assert_eq!(timers.heap.len(), 1);
    }
    assert!(timers.pop_due(Instant::from_nanos(998)).is_none());
    assert!(timers.pop_due(Instant::from_nanos(999)).is_some());
    assert_eq!(Rc::strong_count(&timer), 1);
}
