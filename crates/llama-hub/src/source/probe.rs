//! A quick answer to "is that server reachable at all?".
//!
//! hf-hub cannot set time-outs, and a machine whose packets are dropped would wait minutes for its
//! first answer. So a plain TCP connection is tried first, under a short limit that also covers the
//! name look-up. It is dropped at once; nothing is sent.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::SourceError;

/// Connects to the server of `url` and hangs up.
///
/// # Errors
///
/// [`SourceError::Unreachable`] when that takes longer than `limit`, or fails.
pub(crate) fn reach(url: &str, limit: Duration) -> Result<(), SourceError> {
    let address = address_of(url);
    let (answer, answered) = mpsc::channel();
    let target = address.clone();
    // Its own thread, because a name look-up knows no limit; it ends by itself, unheard.
    thread::spawn(move || answer.send(connect(&target, limit)));
    let silence =
        || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
    let connected = answered.recv_timeout(limit).unwrap_or_else(|_| Err(silence()));
    connected.map_err(|source| SourceError::Unreachable { address, source })
}

fn connect(address: &str, limit: Duration) -> io::Result<()> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, limit) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `host:port` of an http or https URL.
fn address_of(url: &str) -> String {
    let (port, rest) = match url.split_once("://") {
        Some(("http", rest)) => (80, rest),
        Some((_, rest)) => (443, rest),
        None => (443, url),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let names_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if names_port { host.to_owned() } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn check_address(url: &str, expected: &str) {
        assert_eq!(address_of(url), expected, "{url}");
    }

    #[test]
    fn addresses_come_out_of_urls() {
        check_address("https://hub.example/a/b", "hub.example:443");
        check_address("http://hub.example", "hub.example:80");
        check_address("http://user:word@hub.example:8080/x", "hub.example:8080");
        check_address("http://[::1]:81/x", "[::1]:81");
        check_address("https://[::1]/x", "[::1]:443");
    }

    #[test]
    fn a_listener_is_reachable_and_a_closed_port_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        assert!(reach(&url, Duration::from_secs(2)).is_ok());
        drop(listener);
        let error = reach(&url, Duration::from_secs(2)).expect_err("nobody listens");
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error:?}");
    }
}
