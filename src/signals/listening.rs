//! What one loop listens to: one pipe for all signals, and who is told of each.
//!
//! Whoever comes or goes, what has arrived before is handed out first, to those who
//! were there then. So a handler misses nothing that came after it was added, and
//! gets nothing that came before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::{Rc, Weak};

use crate::base_events::EventLoop;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::repeating::Repeating;
use crate::selectors::{Listener, Ready, Registration};
use crate::signals::receivers::{Inbox, schedule};
use crate::signals::signal::Signal;
use crate::sys::signal::{Escalation, SignalPipe, SignalWatch, is_left_to_default};

/// The signals of one loop.
///
/// Its registration owns it as a listener, so it ends when the loop is closed,
/// and with it everything that callbacks own.
pub(super) struct Listening {
    scheduler: Rc<Scheduler>,
    registration: Rc<Registration>,
    pipe: SignalPipe,
    heard: RefCell<BTreeMap<Signal, Rc<Heard>>>,
}

impl Listener for Listening {
    fn ready(self: Rc<Self>, ready: Ready) {
        if ready.read {
            let scheduler = self.scheduler.clone();
            scheduler.call_soon(move || self.hand_out());
        }
    }
}

/// How a loop finds what it listens to.
#[derive(Default)]
struct Listens(RefCell<Weak<Listening>>);

impl Listening {
    /// That of a loop; it is made with the first signal.
    pub(super) fn of(event_loop: &EventLoop) -> Result<Rc<Listening>> {
        if event_loop.is_closed() {
            return Err(Error::text(ErrorKind::Runtime, "the event loop is closed"));
        }
        if let Some(listening) = Listening::find(event_loop) {
            return Ok(listening);
        }
        let pipe = SignalPipe::new()?;
        let registration = event_loop.driver().register(pipe.fd())?;
        let listening = Rc::new(Listening {
            scheduler: event_loop.scheduler().clone(),
            registration,
            pipe,
            heard: RefCell::new(BTreeMap::new()),
        });
        listening.registration.set_listener(listening.clone());
        *event_loop.service(Listens::default).0.borrow_mut() = Rc::downgrade(&listening);
        Ok(listening)
    }

    /// The same, if there is one.
    pub(super) fn find(event_loop: &EventLoop) -> Option<Rc<Listening>> {
        let listens: Rc<Listens> = event_loop.find_service()?;
        listens.0.borrow().upgrade()
    }

    pub(super) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }

    pub(super) fn set_handler(&self, signal: Signal, handler: Rc<Repeating>) -> Result {
        self.hand_out();
        let heard = self.heard(signal)?;
        let former = heard.handler.replace(Some(handler));
        heard.settle();
        // Not removed: it has yet to run for what it was just given.
        drop(former);
        Ok(())
    }

    /// Whether there was one.
    pub(super) fn remove_handler(&self, signal: Signal) -> bool {
        let heard = self.heard.borrow().get(&signal).cloned();
        let former = heard.and_then(|heard| {
            self.hand_out();
            heard.handler.take()
        });
        self.settle(signal);
        former.inspect(|handler| handler.remove()).is_some()
    }

    pub(super) fn add_inbox(&self, signal: Signal, inbox: Rc<Inbox>) -> Result {
        self.hand_out();
        let heard = self.heard(signal)?;
        heard.inboxes.borrow_mut().push(inbox);
        heard.settle();
        Ok(())
    }

    pub(super) fn remove_inbox(&self, signal: Signal, inbox: &Rc<Inbox>) {
        self.hand_out();
        if let Some(heard) = self.heard.borrow().get(&signal) {
            heard.inboxes.borrow_mut().retain(|other| !Rc::ptr_eq(other, inbox));
        }
        self.settle(signal);
    }

    /// Gives what arrived to those who listen.
    fn hand_out(&self) {
        self.pipe.drain();
        let all: Vec<_> = self.heard.borrow().iter().map(|(s, h)| (*s, h.clone())).collect();
        for (signal, heard) in all {
            heard.hand_out(signal, &self.scheduler);
        }
    }

    /// What is listened to under that number, from now on if nobody did yet.
    fn heard(&self, signal: Signal) -> Result<Rc<Heard>> {
        if let Some(heard) = self.heard.borrow().get(&signal) {
            return Ok(heard.clone());
        }
        signal.check()?;
        let watch = SignalWatch::new(signal.as_raw()).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => signal.refused("the system has none to be handled"),
            _ => Error::from(error),
        })?;
        let heard = Rc::new(Heard {
            watch,
            handler: RefCell::new(None),
            inboxes: RefCell::new(Vec::new()),
            reaction: RefCell::new(None),
            escalation: RefCell::new(None),
        });
        self.heard.borrow_mut().insert(signal, heard.clone());
        Ok(heard)
    }

    /// Somebody has gone: a signal that nobody listens to is the program's again.
    fn settle(&self, signal: Signal) {
        let mut all = self.heard.borrow_mut();
        if let Some(heard) = all.get(&signal) {
            heard.settle();
            if !heard.has_listener() && heard.reaction.borrow().is_none() {
                all.remove(&signal);
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Before the pipe is closed.
        self.registration.deregister();
        for heard in self.heard.take().into_values() {
            heard.handler.take().inspect(|handler| handler.remove());
        }
    }
}

/// Called with how many came.
type Reaction = Rc<dyn Fn(u32)>;

/// One signal of one loop.
struct Heard {
    watch: SignalWatch,
    handler: RefCell<Option<Rc<Repeating>>>,
    inboxes: RefCell<Vec<Rc<Inbox>>>,
    /// What the runner does about a SIGINT that nobody listens to.
    reaction: RefCell<Option<Reaction>>,
    /// There is one as long as it is up to the reaction.
    escalation: RefCell<Option<Escalation>>,
}

impl Heard {
    fn has_listener(&self) -> bool {
        self.handler.borrow().is_some() || !self.inboxes.borrow().is_empty()
    }

    fn hand_out(&self, signal: Signal, scheduler: &Rc<Scheduler>) {
        self.escalation.borrow().as_ref().inspect(|escalation| escalation.taken());
        let times = self.watch.take();
        if times == 0 {
            return;
        }
        if !self.has_listener() {
            let reaction = self.reaction.borrow().clone();
            reaction.inspect(|react| react(times));
            return;
        }
        let handler = self.handler.borrow().clone();
        handler.inspect(|handler| schedule(handler, scheduler, times));
        let inboxes = self.inboxes.borrow().clone();
        for inbox in inboxes {
            inbox.put(signal);
        }
    }

    /// The reaction steps aside for a listener, and comes back after the last.
    fn settle(&self) {
        let mut escalation = self.escalation.borrow_mut();
        if self.has_listener() || self.reaction.borrow().is_none() {
            *escalation = None;
        } else if escalation.is_none() {
            *escalation = Some(Escalation::new());
        }
    }
}

/// What is done about SIGINT on a loop while nobody listens to it there; until it
/// is dropped.
pub(crate) struct InterruptReaction(Weak<Listening>);

impl InterruptReaction {
    /// None if the program has a handler for SIGINT, or ignores it. A second SIGINT
    /// before `react` was called for the first ends the process. For the main
    /// thread, where only one loop can run.
    pub(crate) fn install(
        event_loop: &EventLoop,
        react: impl Fn(u32) + 'static,
    ) -> Result<Option<InterruptReaction>> {
        if !is_left_to_default(Signal::INT.as_raw())? {
            return Ok(None);
        }
        let listening = Listening::of(event_loop)?;
        let heard = listening.heard(Signal::INT)?;
        heard.reaction.replace(Some(Rc::new(react)));
        heard.settle();
        Ok(Some(InterruptReaction(Rc::downgrade(&listening))))
    }
}

impl Drop for InterruptReaction {
    fn drop(&mut self) {
        let Some(listening) = self.0.upgrade() else { return };
        let heard = listening.heard.borrow().get(&Signal::INT).cloned();
        let reaction = heard.and_then(|heard| heard.reaction.take());
        listening.settle(Signal::INT);
        drop(reaction);
    }
}
