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

#[cfg(feature = "inspect")]
pub(crate) use walking::Trace;

#[cfg(not(feature = "inspect"))]
pub(crate) use without::Trace;

#[cfg(feature = "inspect")]
mod walking {
    use std::ops::Range;
    use std::path::Path;

    use super::StackFrame;
    use crate::stack::stack_around;

    /// Bytes of stack that walking it may take.
    const ROOM: usize = 12 * 1024;

    /// How many calls are looked at; a recursion may be deeper.
    const DEEPEST: usize = 256;

    /// Return addresses, not looked up yet.
    pub(crate) struct Trace(Vec<backtrace::Frame>);

    impl Trace {
        pub(crate) const fn nothing() -> Trace {
            Trace(Vec::new())
        }

        /// Walks from here to the end of the coroutine's stack that `base` is on.
        /// Nothing is found where too little of the stack is left for it.
        pub(crate) fn capture(base: usize) -> Trace {
            let here = std::ptr::from_ref(&base).addr();
            let (Some(own), Some(innermost)) = (stack_around(base), stack_around(here)) else {
                return Trace::nothing();
            };
            if here - innermost.start < ROOM {
                return Trace::nothing();
            }
            Trace(walk(&own))
        }

        /// Looks up what was found. What belongs to this crate is left out at both
        /// ends, but for the function that was called to wait.
        pub(crate) fn resolve(&self) -> Vec<StackFrame> {
            let mut frames = Vec::new();
            for frame in &self.0 {
                backtrace::resolve_frame(frame, |symbol| {
                    frames.push(StackFrame {
                        function: symbol.name().map(|name| format!("{name:#}")).unwrap_or_default(),
                        file: symbol.filename().map(|file| file.display().to_string()),
                        line: symbol.lineno(),
                    });
                });
            }
            without_machinery(&mut frames);
            if let Some(here) = std::env::current_dir().ok().as_deref().and_then(Path::to_str) {
                frames.iter_mut().for_each(|frame| frame.shorten(here));
            }
            frames
        }
    }

    impl StackFrame {
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
    fn walk(own: &Range<usize>) -> Vec<backtrace::Frame> {
        let mut frames: Vec<backtrace::Frame> = Vec::new();
        let mut entered = false;
        backtrace::trace(|frame| {
            let inside = own.contains(&frame.sp().addr());
            if entered && !inside {
                return false;
            }
            entered |= inside;
            frames.push(frame.clone());
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
        sources: Option<String>,
    }

    impl Sorter {
        /// This very file is in every trace, and its neighbours are the crate.
        fn of(frames: &[StackFrame]) -> Sorter {
            let mut files = frames.iter().filter_map(|frame| frame.file.as_deref());
            let sources = files.find_map(|file| file.strip_suffix("traces.rs"));
            Sorter { sources: sources.map(str::to_owned) }
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

    const BELOW_BY_FILE: &[&str] = &["/rustc/", "/library/std/", "/corosensei-", "/backtrace-"];

    const BELOW_BY_NAME: &[&str] =
        &["std::", "core::", "alloc::", "corosensei::", "backtrace::", "__rust", "stack_init"];

    fn origin_by_name(function: &str) -> Origin {
        let path = function.trim_start_matches(['<', '&']);
        match path {
            "" => Origin::Below,
            _ if path.starts_with("stackio::") => Origin::Crate,
            _ if BELOW_BY_NAME.iter().any(|below| path.starts_with(below)) => Origin::Below,
            _ => Origin::User,
        }
    }

    fn without_machinery(frames: &mut Vec<StackFrame>) {
        let sorter = Sorter::of(frames);
        let is = |origin| {
            let sorter = &sorter;
            move |frame: &StackFrame| sorter.origin(frame) == origin
        };
        let end = frames.iter().rposition(is(Origin::User)).map_or(0, |last| last + 1);
        frames.truncate(end);
        let first = frames.iter().position(is(Origin::User)).unwrap_or(0);
        let called = frames[..first].iter().rposition(is(Origin::Crate)).unwrap_or(0);
        frames.drain(..called);
    }
}

#[cfg(not(feature = "inspect"))]
mod without {
    use super::StackFrame;

    /// Nothing, in a build without the feature `inspect`.
    pub(crate) struct Trace;

    impl Trace {
        pub(crate) const fn nothing() -> Trace {
            Trace
        }

        pub(crate) fn capture(_base: usize) -> Trace {
            Trace
        }

        pub(crate) fn resolve(&self) -> Vec<StackFrame> {
            Vec::new()
        }
    }
}
