//! Connects to the first of several addresses that accepts, sends a line and prints what comes
//! back; gives up after five seconds.
//!
//! ```text
//! cargo run --example connect -- 127.0.0.1:1 127.0.0.1:7000
//! ```

use core::error::Error;
use core::time::Duration;

use epollite::kernel::Shutdown;
use epollite::reactor::{ConnectConfig, ConnectProgress};
use epollite::{Addr, Kernel, Reactor, Received};

fn main() -> Result<(), Box<dyn Error>> {
    let addrs: Vec<Addr> =
        std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<_, _>>()?;
    let mut reactor = Reactor::new()?;
    let deadline = reactor.kernel().now() + Duration::from_secs(5);
    let config = ConnectConfig {
        addrs: addrs.clone(),
        attempt_timeout: Some(Duration::from_secs(1)),
        deadline: Some(deadline),
        ..ConnectConfig::default()
    };
    let mut connector = reactor.connect(config, ())?;
    let mut buf = [0; 1024];
    while let Some(event) = reactor.next(Some(deadline))? {
        let progress = connector.on_event(&mut reactor, event)?;
        let Some((_, mut io)) = reactor.get_mut(connector.token()) else { continue };
        match progress {
            ConnectProgress::Pending => {}
            ConnectProgress::Connected { index } => {
                println!("connected to {}", addrs[index]);
                io.send(b"hello\n")?;
                io.shutdown(Shutdown::Write)?;
            }
            // From here on it is a registration like any other.
            ConnectProgress::Unrelated => match io.recv(&mut buf)? {
                Received::Bytes(count) => print!("{}", String::from_utf8_lossy(&buf[..count])),
                Received::WouldBlock => {}
                Received::Eof => return Ok(()),
            },
        }
    }
    Err("no answer within five seconds".into())
}
