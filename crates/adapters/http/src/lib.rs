//! Asks HTTP servers: a client that only goes where it may, and the runner of HTTP tasks.
//!
//! Whom a task may ask is a list in the configuration, [`Allow`]. A name is looked up once, the
//! addresses are checked, and the connection goes to one of those: a name that leads elsewhere
//! the next time leads nowhere. Redirects are followed by hand and pass the same check; what is
//! secret does not follow to another host. Proxies of the environment are not used: they would
//! look names up by themselves.

mod allow;
mod attempt;
mod client;
mod condition;
mod error;
mod log;
mod redirect;
mod resolve;
mod runner;
mod secret;
mod tls;

#[cfg(test)]
mod tests;

pub use allow::Allow;
pub use client::{Answer, Call, Client, Header, Payload};
pub use error::HttpError;
pub use runner::{HttpRunner, HttpSetup};
pub use secret::{headers, secret_value};
