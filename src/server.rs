//! Servers built with the reactor: streams, datagrams, and how their sockets are created.

mod bind;
pub mod datagram;
pub mod stream;

pub use bind::{
    PortSharing, bind_datagram, bind_datagram_everywhere, bind_stream, bind_stream_everywhere,
};
