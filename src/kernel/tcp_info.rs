//! `TcpInfo`: what TCP knows of a connection, decoded from `struct tcp_info`.
//!
//! Knows the offsets of the fields; the kernel has only ever appended some, so that those of an
//! older one are a prefix.

use core::time::Duration;

/// The length of the struct as it is read: up to `tcpi_snd_wnd`. Linux 6.1 has exactly that.
pub(crate) const TCP_INFO_BYTES: usize = 232;

/// A state of a TCP connection.
///
/// Man page: tcp(7). The numbers are those of include/net/tcp_states.h.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TcpState {
    /// Data may be sent and received.
    Established,
    /// It connects.
    SynSent,
    /// A SYN has arrived.
    SynReceived,
    /// Closed for writing, and the peer has not acknowledged that.
    FinWait1,
    /// Closed for writing; the peer may send.
    FinWait2,
    /// Closed by both, and old packets may arrive.
    TimeWait,
    /// Not connected, or no longer.
    Closed,
    /// The peer is closed for writing.
    CloseWait,
    /// Closed by both, the peer first, and the peer has not acknowledged that.
    LastAck,
    /// It accepts connections.
    Listening,
    /// Closed by both at once.
    Closing,
}

/// What TCP knows of a connection. Fields that an older kernel does not have are `None`.
///
/// Man page: tcp(7), `TCP_INFO`. Each field is that of `struct tcp_info` in its comment.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpInfo {
    /// The state of the connection (`tcpi_state`).
    pub state: TcpState,
    /// Retransmissions of the packet that waits for its acknowledgement (`tcpi_retransmits`).
    pub retransmits: u8,
    /// The time after which a packet is retransmitted (`tcpi_rto`).
    pub retransmission_timeout: Duration,
    /// The longest segment that is sent (`tcpi_snd_mss`).
    pub send_segment_bytes: u32,
    /// The longest segment that was received (`tcpi_rcv_mss`).
    pub receive_segment_bytes: u32,
    /// Packets that are not acknowledged; for a listener, connections in its accept queue
    /// (`tcpi_unacked`).
    pub unacked: u32,
    /// Packets that count as lost (`tcpi_lost`).
    pub lost: u32,
    /// Packets that were retransmitted and are not acknowledged (`tcpi_retrans`).
    pub retransmitted: u32,
    /// All retransmissions so far (`tcpi_total_retrans`).
    pub retransmitted_total: u32,
    /// The smoothed round-trip time (`tcpi_rtt`).
    pub rtt: Duration,
    /// Its mean deviation (`tcpi_rttvar`).
    pub rtt_deviation: Duration,
    /// The congestion window, in packets (`tcpi_snd_cwnd`).
    pub congestion_window: u32,
    /// The window at which slow start ends (`tcpi_snd_ssthresh`).
    pub slow_start_threshold: u32,
    /// The longest packet of the path (`tcpi_pmtu`).
    pub path_mtu_bytes: u32,
    /// The rate at which packets are paced, bytes a second (`tcpi_pacing_rate`). Linux 3.15.
    pub pacing_rate: Option<u64>,
    /// Bytes that the peer has acknowledged (`tcpi_bytes_acked`). Linux 4.1.
    pub acked_bytes: Option<u64>,
    /// Bytes that were received (`tcpi_bytes_received`). Linux 4.1.
    pub received_bytes: Option<u64>,
    /// Bytes in the send buffer that were not sent yet (`tcpi_notsent_bytes`). Linux 4.6.
    pub unsent_bytes: Option<u32>,
    /// The shortest round-trip time (`tcpi_min_rtt`). Linux 4.6.
    pub min_rtt: Option<Duration>,
    /// The rate at which data was delivered last, bytes a second (`tcpi_delivery_rate`). Linux 4.9.
    pub delivery_rate: Option<u64>,
    /// Bytes that were sent, retransmissions included (`tcpi_bytes_sent`). Linux 4.19.
    pub sent_bytes: Option<u64>,
    /// Bytes of them that were retransmissions (`tcpi_bytes_retrans`). Linux 4.19.
    pub retransmitted_bytes: Option<u64>,
    /// The peer's receive window (`tcpi_snd_wnd`). Linux 5.4.
    pub send_window_bytes: Option<u32>,
}

impl TcpInfo {
    /// Decodes as many bytes as a kernel has written. `None` if they are fewer than any kernel
    /// writes, or the state is unknown.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let micros = |at: usize| Some(Duration::from_micros(word(at)?.into()));
        Some(Self {
            state: TcpState::from_number(*bytes.first()?)?,
            retransmits: *bytes.get(2)?,
            retransmission_timeout: micros(8)?,
            send_segment_bytes: word(16)?,
            receive_segment_bytes: word(20)?,
            unacked: word(24)?,
            lost: word(32)?,
            retransmitted: word(36)?,
            path_mtu_bytes: word(60)?,
            rtt: micros(68)?,
            rtt_deviation: micros(72)?,
            slow_start_threshold: word(76)?,
            congestion_window: word(80)?,
            retransmitted_total: word(100)?,
            pacing_rate: long(104),
            acked_bytes: long(120),
            received_bytes: long(128),
            unsent_bytes: word(144),
            min_rtt: micros(148),
            delivery_rate: long(160),
            sent_bytes: long(200),
            retransmitted_bytes: long(208),
            send_window_bytes: word(228),
        })
    }
}

impl TcpState {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is the same, of a connection that is not accepted yet.
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listening,
            11 => Self::Closing,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The n-th word is n.
    fn example() -> [u8; TCP_INFO_BYTES] {
        let mut bytes = [0; TCP_INFO_BYTES];
        for (number, word) in (0_u32..).zip(bytes.as_chunks_mut::<4>().0) {
            *word = number.to_ne_bytes();
        }
        bytes[0] = 1;
        bytes
    }

    #[test]
    fn each_field_is_read_at_its_place() {
        let info = TcpInfo::decode(&example()).unwrap();
        assert_eq!((info.state, info.rtt), (TcpState::Established, Duration::from_micros(17)));
        assert_eq!((info.congestion_window, info.retransmitted_total), (20, 25));
        assert_eq!((info.unsent_bytes, info.send_window_bytes), (Some(36), Some(57)));
        assert_eq!(info.min_rtt, Some(Duration::from_micros(37)));
    }

    #[test]
    fn an_older_kernel_writes_a_prefix() {
        let bytes = example();
        let info = TcpInfo::decode(&bytes[..104]).unwrap();
        assert_eq!((info.pacing_rate, info.send_window_bytes), (None, None));
        let info = TcpInfo::decode(&bytes[..192]).unwrap();
        assert!(info.delivery_rate.is_some() && info.sent_bytes.is_none());
        for len in 0..104 {
            assert_eq!(TcpInfo::decode(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn an_unknown_state_is_none() {
        let mut bytes = example();
        for number in [0, 13, 255] {
            bytes[0] = number;
            assert_eq!(TcpInfo::decode(&bytes), None);
        }
    }
}
