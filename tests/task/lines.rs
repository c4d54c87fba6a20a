//! Lines and whole messages of a stream, however the bytes arrive.

use std::num::NonZeroUsize;
use std::time::Duration;

use epollite::Errno;
use epollite::executor::{Executor, LineError};
use epollite::kernel::Shutdown;
use epollite::sim::Sim;

use crate::support::pair;

/// The lines that a receiver gets when `pieces` are sent one by one, and then the end.
fn lines_of(pieces: &[&[u8]], line_bytes_max: usize) -> Result<Vec<Vec<u8>>, LineError> {
    let mut executor = Executor::with_kernel(Sim::default()).expect("room");
    let handle = executor.handle();
    let (near, mut far) = pair(&handle);
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let pause = handle.clone();
    drop(handle.spawn(async move {
        for piece in pieces {
            far.write_all(&piece).await.expect("it is read");
            pause.sleep(Duration::from_millis(1)).await;
        }
    }));
    let line_bytes_max = NonZeroUsize::new(line_bytes_max).expect("a line has a length");
    let (half, _writer) = near.split();
    let mut lines = half.lines(line_bytes_max);
    let received = executor.block_on(async {
        let mut received = Vec::new();
        while let Some(line) = lines.next().await? {
            received.push(line.to_vec());
        }
        Ok(received)
    });
    received.expect("the loop runs")
}

#[test]
fn lines_are_the_same_however_the_bytes_arrive() {
    let bytes = b"one\ntwo\r\n\r\n\nthree\rstill three\nlast";
    let expected: [&[u8]; 6] = [b"one", b"two", b"", b"", b"three\rstill three", b"last"];
    for size in 1..=bytes.len() {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        assert_eq!(lines_of(&pieces, 17), Ok(expected.map(<[u8]>::to_vec).to_vec()), "by {size}");
    }
    assert_eq!(lines_of(&[], 17), Ok(vec![]));
    assert_eq!(lines_of(&[b"end\n"], 17), Ok(vec![b"end".to_vec()]));
}

#[test]
fn a_line_has_the_longest_permitted_length_or_is_too_long() {
    let whole = Ok(vec![b"12345".to_vec()]);
    for text in [&b"12345\n"[..], b"12345\r\n", b"12345"] {
        let pieces: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines_of(&[text], 5), whole);
        assert_eq!(lines_of(&pieces, 5), whole);
        assert_eq!(lines_of(&[text], 4), Err(LineError::TooLong));
        assert_eq!(lines_of(&pieces, 4), Err(LineError::TooLong));
    }
    assert_eq!(lines_of(&[&[b'x'; 100_000]], 1_000), Err(LineError::TooLong));
    assert_eq!(Errno::from(LineError::TooLong), Errno::EMSGSIZE);
    assert_eq!(lines_of(&[b"no", b" limit\n"], usize::MAX), Ok(vec![b"no limit".to_vec()]));
}

#[test]
fn a_line_that_is_given_up_is_not_lost() {
    let mut executor = Executor::with_kernel(Sim::default()).expect("room");
    let handle = executor.handle();
    let (near, mut far) = pair(&handle);
    let (half, _writer) = near.split();
    let mut lines = half.lines(NonZeroUsize::new(80).expect("a length"));
    let received = executor.block_on(async {
        far.write_all(b"half a li").await.expect("there is room");
        let soon = Duration::from_millis(10);
        assert!(handle.timeout(soon, lines.next()).await.is_err(), "there is no whole line yet");
        far.write_all(b"ne\nand the rest").await.expect("there is room");
        let line = lines.next().await.expect("it is intact").expect("a line").to_vec();
        let (_, rest) = lines.into_parts();
        (line, rest)
    });
    assert_eq!(received, Ok((b"half a line".to_vec(), b"and the rest".to_vec())));
}

#[test]
fn recv_exact_fills_the_buffer_or_says_where_the_file_ends() {
    let mut executor = Executor::with_kernel(Sim::default()).expect("room");
    let handle = executor.handle();
    let (mut near, mut far) = pair(&handle);
    let pause = handle.clone();
    drop(handle.spawn(async move {
        for piece in [&b"he"[..], b"ll", b"o wor"] {
            far.write_all(piece).await.expect("it is read");
            pause.sleep(Duration::from_millis(1)).await;
        }
        far.shutdown(Shutdown::Write).expect("it is connected");
    }));
    let received = executor.block_on(async {
        let mut whole = [0; 6];
        let first = near.recv_exact(&mut whole).await;
        let (mut reader, _writer) = near.split();
        let mut rest = [0; 6];
        let second = reader.recv_exact(&mut rest).await;
        let none = reader.recv_exact(&mut []).await;
        (first, whole, second, rest, none)
    });
    assert_eq!(received, Ok((Ok(6), *b"hello ", Ok(3), *b"wor\0\0\0", Ok(0))));
}
