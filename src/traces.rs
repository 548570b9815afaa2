//! What is on the stack of a coroutine: frames, from the innermost outwards.
//!
//! A suspended coroutine is asked where it stands: it is resumed, walks its own
//! stack, and suspends again, so nothing has to be known of how the processor was
//! left. Walking takes a few microseconds; names and lines are looked up later, on
//! the stack of whoever asked.

use std::fmt;

/// One call on the stack of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame {
    /// The path of the function.
    pub function: String,
    /// The source file, if the program has that much debug information.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            _ => Ok(()),
        }
    }
}

impl StackFrame {
    /// The function without its path and type parameters: `fetch` for
    /// `crawler::fetch<Page>`. A closure has the name of the function that it is in,
    /// with `{{closure}}` behind it, as far as that is known.
    pub fn name(&self) -> &str {
        // A path may have others inside: `<crawler::Page as core::fmt::Display>::fmt`.
        let mut depth = 0_usize;
        let mut name = 0;
        let mut closure = None;
        for (at, _) in self.function.match_indices(['<', '>', ':']) {
            match &self.function[at..] {
                rest if rest.starts_with('<') => depth += 1,
                rest if rest.starts_with("->") => {}
                rest if rest.starts_with('>') => depth = depth.saturating_sub(1),
                rest if depth == 0 && rest.starts_with("::{{") => closure = closure.or(Some(name)),
                rest if depth == 0 && rest.starts_with("::") && closure.is_none() => name = at + 2,
                _ => {}
            }
        }
        let name = &self.function[closure.unwrap_or(name)..];
        match name.find('<') {
            Some(end @ 1..) => &name[..end],
            _ => name,
        }
    }
}

/// Where a trace is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the function that runs, which may be on the stack of a generator.
    Here,
    /// With the first function on the stack that is asked for.
    OnOwnStack,
}

#[cfg(feature = "inspect")]
pub(crate) use walking::{Names, Trace};

#[cfg(not(feature = "inspect"))]
pub(crate) use without::{Names, Trace};

#[cfg(feature = "inspect")]
mod walking {
    use std::collections::HashMap;
    use std::env;
    use std::ffi::c_void;
    use std::ops::Range;
    use std::path::Path;

    use super::{Begin, StackFrame};
    use crate::fiber::on_another_stack;
    use crate::stack::stack_around;

    /// Bytes of its stack that have to be left to begin: walking takes far more, but
    /// is done on another one.
    const ROOM: usize = 4 * 1024;

    /// How many calls are looked at; a recursion may be deeper.
    const DEEPEST: usize = 1024;

    /// Return addresses, not looked up yet.
    pub(crate) struct Trace(Vec<backtrace::Frame>);

    impl Trace {
        pub(crate) const fn nothing() -> Trace {
            Trace(Vec::new())
        }

        /// Walks from here to the end of the coroutine's stack that `base` is on.
        /// Nothing is found where too little of the stack is left for it.
        pub(crate) fn capture(base: usize, begin: Begin) -> Trace {
            let here = std::ptr::from_ref(&base).addr();
            let left = stack_around(here).map_or(usize::MAX, |innermost| here - innermost.start);
            match stack_around(base) {
                Some(own) if left >= ROOM => {
                    let walked = on_another_stack(|| walk(&own, begin));
                    Trace(walked.unwrap_or_default())
                }
                _ => Trace::nothing(),
            }
        }
    }

    /// Looks functions up, each once.
    pub(crate) struct Names {
        known: HashMap<usize, Vec<StackFrame>>,
        sorter: Sorter,
        /// Files below it are shown without it.
        directory: Option<String>,
    }

    impl Names {
        pub(crate) fn new() -> Names {
            let directory = env::current_dir().ok();
            let directory = directory.and_then(|here| here.into_os_string().into_string().ok());
            Names { known: HashMap::new(), sorter: Sorter::new(), directory }
        }

        /// What was found, by name. What belongs to this crate is left out at both
        /// ends, but for the function that was called to wait.
        pub(crate) fn resolve(&mut self, trace: &Trace) -> Vec<StackFrame> {
            let mut frames = Vec::new();
            for frame in &trace.0 {
                let found = self.known.entry(frame.ip().addr()).or_insert_with(|| look_up(frame));
                frames.extend_from_slice(found);
            }
            without_machinery(&mut frames, &self.sorter);
            if let Some(directory) = &self.directory {
                frames.iter_mut().for_each(|frame| frame.shorten(directory));
            }
            frames
        }
    }

    /// The function of a frame, and those that were inlined into it.
    fn look_up(frame: &backtrace::Frame) -> Vec<StackFrame> {
        let mut found = Vec::new();
        backtrace::resolve_frame(frame, |symbol| {
            found.push(StackFrame {
                function: symbol.name().map(|name| format!("{name:#}")).unwrap_or_default(),
                file: symbol.filename().map(|file| file.display().to_string()),
                line: symbol.lineno(),
            });
        });
        found
    }

    impl StackFrame {
        /// Whether it is of those that go from one stack to another.
        fn is_switch(&self) -> bool {
            let file = self.file.as_deref().unwrap_or_default();
            file.contains(CRATE_THAT_SWITCHES) || self.function.starts_with("corosensei::")
        }

        /// Has the file begin below the directory, if it is there.
        fn shorten(&mut self, directory: &str) {
            let file = self.file.as_deref().and_then(|file| file.strip_prefix(directory));
            if let Some(file) = file.and_then(|file| file.strip_prefix('/')) {
                self.file = Some(file.to_owned());
            }
        }
    }

    /// A generator's stack may come first; what comes after the coroutine's own is
    /// that of who asks.
    fn walk(own: &Range<usize>, begin: Begin) -> Vec<backtrace::Frame> {
        let mut frames: Vec<backtrace::Frame> = Vec::new();
        let mut entered = false;
        backtrace::trace(|frame| {
            let inside = own.contains(&frame.sp().addr());
            if entered && !inside {
                return false;
            }
            entered |= inside;
            if entered || begin == Begin::Here {
                frames.push(frame.clone());
            }
            frames.len() < DEEPEST
        });
        frames
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Origin {
        Crate,
        /// The standard library and what the crate stands on.
        Below,
        User,
    }

    /// Where functions come from: by file, since a function that was inlined has
    /// no path in its name; by path, where there are no files.
    struct Sorter {
        /// The directory of the crate's sources.
        sources: Option<String>,
    }

    impl Sorter {
        fn new() -> Sorter {
            let mut sources = None;
            // A look-up takes an address for one that a call returns to.
            let in_this_file = (Sorter::new as fn() -> Sorter as *mut c_void).wrapping_byte_add(1);
            backtrace::resolve(in_this_file, |symbol| {
                let file = symbol.filename().and_then(Path::to_str);
                if let Some(directory) = file.and_then(|file| file.strip_suffix("traces.rs")) {
                    sources = Some(directory.to_owned());
                }
            });
            Sorter { sources }
        }

        fn origin(&self, frame: &StackFrame) -> Origin {
            match (&frame.file, &self.sources) {
                (Some(file), Some(sources)) if file.starts_with(sources) => Origin::Crate,
                (Some(file), _) if BELOW_BY_FILE.iter().any(|below| file.contains(below)) => {
                    Origin::Below
                }
                (Some(_), _) => Origin::User,
                (None, _) => origin_by_name(&frame.function),
            }
        }
    }

    const CRATE_THAT_SWITCHES: &str = "/corosensei-";

    const BELOW_BY_FILE: &[&str] = &["/rustc/", "/rustlib/", CRATE_THAT_SWITCHES, "/backtrace-"];

    const BELOW_BY_NAME: &[&str] = &[
        "std::",
        "core::",
        "alloc::",
        "corosensei::",
        "backtrace::",
        "__rust",
        "stack_init_trampoline",
        "stack_call_trampoline",
    ];

    fn origin_by_name(function: &str) -> Origin {
        let path = function.trim_start_matches(['<', '&']);
        match path {
            "" => Origin::Below,
            _ if path.starts_with("stackio::") => Origin::Crate,
            _ if BELOW_BY_NAME.iter().any(|below| path.starts_with(below)) => Origin::Below,
            _ => Origin::User,
        }
    }

    fn without_machinery(frames: &mut Vec<StackFrame>, sorter: &Sorter) {
        let is = |origin| move |frame: &StackFrame| sorter.origin(frame) == origin;
        let end = frames.iter().rposition(is(Origin::User)).map_or(0, |last| last + 1);
        frames.truncate(end);
        let first = frames.iter().position(is(Origin::User)).unwrap_or(0);
        let called = frames[..first].iter().rposition(is(Origin::Crate)).unwrap_or(0);
        frames.drain(..called);
        leave_out_switches(frames, sorter);
    }

    /// Where a generator's stack lies on that of whoever resumed it, only the function that
    /// was called for it stays of what is between them.
    fn leave_out_switches(frames: &mut Vec<StackFrame>, sorter: &Sorter) {
        let origins: Vec<_> = frames.iter().map(|frame| sorter.origin(frame)).collect();
        let mut kept = vec![true; frames.len()];
        let mut begin = 0;
        for run in origins.chunk_by(|one, next| (*one == Origin::User) == (*next == Origin::User)) {
            let end = begin + run.len();
            if frames[begin..end].iter().any(StackFrame::is_switch) {
                kept[begin..end].fill(false);
                if let Some(called) = run.iter().rposition(|&origin| origin == Origin::Crate) {
                    kept[begin + called] = true;
                }
            }
            begin = end;
        }
        let mut kept = kept.into_iter();
        frames.retain(|_| kept.next().unwrap_or(true));
    }
}

#[cfg(not(feature = "inspect"))]
mod without {
    use super::{Begin, StackFrame};

    /// Nothing, in a build without the feature `inspect`.
    pub(crate) struct Trace;

    pub(crate) struct Names;

    impl Names {
        pub(crate) fn new() -> Names {
            Names
        }

        pub(crate) fn resolve(&mut self, _trace: &Trace) -> Vec<StackFrame> {
            Vec::new()
        }
    }

    impl Trace {
        pub(crate) const fn nothing() -> Trace {
            Trace
        }

        pub(crate) fn capture(_base: usize, _begin: Begin) -> Trace {
            Trace
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StackFrame;

    #[test]
    fn a_name_has_no_path_and_no_parameters() {
        let names = [
            ("crawler::fetch", "fetch"),
            ("fetch<alloc::vec::Vec<u8>>", "fetch"),
            ("stackio::queues::Queue<T>::get", "get"),
            ("<impl stackio::Future<T>>::wait", "wait"),
            ("<crawler::Page as core::fmt::Display>::fmt", "fmt"),
            ("<fn() -> a::B as c::D>::call", "call"),
            ("crawler::main::{{closure}}", "main::{{closure}}"),
            ("crawler::main::{{closure}}::{{closure}}", "main::{{closure}}::{{closure}}"),
            ("{closure#3}", "{closure#3}"),
            ("", ""),
        ];
        for (function, name) in names {
            let frame = StackFrame { function: function.to_owned(), file: None, line: None };
            assert_eq!(frame.name(), name);
        }
    }
}
