//! The integration tests: one binary, so that they link once.
//!
//! Modules mirror `src/`; a test's name is the scenario it plays. `tidy` checks the structure of
//! the sources, `examples` runs every lesson, and `support` holds what more than one module needs.

mod blocking;
mod children;
mod compile_fail;
mod conformance;
mod context;
mod crawler;
mod datagrams;
mod debug;
mod dns_lookup;
mod examples;
mod faults;
mod framing;
mod from_asyncio;
mod futures;
mod generator;
mod graph;
mod how_it_reads;
mod locks;
mod loops;
mod message_protocol;
mod net;
mod pipes;
mod queues;
mod sendfile;
mod servers;
mod signals;
#[cfg(feature = "tls")]
mod sslproto;
mod stacks;
mod streams;
#[cfg(feature = "process")]
mod subprocess;
mod support;
mod taskgroups;
mod tasks;
mod threads;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
