//! Servers built with the reactor: streams, datagrams, and how both come by their sockets.

mod bind;
pub mod datagram;
pub mod stream;

pub use bind::{
    BindError, Sharing, bind_datagram, bind_datagram_everywhere, bind_stream,
    bind_stream_everywhere,
};
