//! The texts of `--help`, of which no line is wider than a terminal: 80 columns.

/// `epollite --help`.
pub(crate) const MAIN: &str = "\
epollite - an epoll echo server to measure and to learn from

Usage: epollite COMMAND [OPTIONS]

Commands:
  echo       serve echo over TCP, UDP and Unix sockets, or check such a server
  nc         netcat: sockets to stdin and stdout, many clients at once
  sim        days of the server in a simulated world, from a seed; laws checked

Options:
  -h, --help     this text; 'epollite COMMAND --help' for a command's
  -V, --version  name and version

Examples:
  epollite echo                                  TCP on 127.0.0.1:7777
  echo hello | nc -N 127.0.0.1 7777              ... and a client
";

/// `epollite nc --help`.
pub(crate) const NC: &str = "\
epollite nc - netcat on the reactor: socket to stdout, stdin to socket

Usage: epollite nc [OPTIONS] HOST PORT           connect
       epollite nc -l [OPTIONS] [HOST] PORT      listen
       epollite nc -U [OPTIONS] PATH             a Unix socket; @NAME for an
                                                 abstract one, \\xNN a byte
       epollite nc -z [OPTIONS] HOST PORT[-PORT] look who listens

Flags mean what they mean to OpenBSD's nc, and may stand together (-lkv, -w5):
  -l          listen; the port 0 takes a free one (-v tells which)
  -k          after one connection the next; many at once, unlike there
  -u          datagrams: UDP, with -U Unix ones; -lu sends to every sender
              that it has received from
  -U          Unix sockets
  -4, -6      only IPv4, only IPv6; -l without HOST is IPv4 unless it is -6
  -n          ask no resolver; numbers are read as inet_aton(3) does (127.1),
              and PORT may be a name all the same: /etc/services
  -p PORT     from this port
  -s ADDR     from this address or path
  -b          datagrams may be broadcast
  -z          connect, send nothing, tell
  -v          tell who and where; -vv: each event, with token and epoll bits
  -w TIME     give up connecting, or when idle
  -i TIME     wait between lines
  -W N        end after N reads
  -C          send CR LF for LF
  -N          shut the socket for writing when stdin ends
  -q TIME     the same, and end so long after that (-1: never). -q 0 is -N: the
              answer is shown until the other side ends (-u ends at once)

With -l, what comes goes to stdout and stdin goes to everybody; or instead:
  --echo      everybody gets his own back
  --discard   what comes is dropped
  --chat      everybody gets each line of the others, with <number> in front;
              so does stdout
  -h, --help  this text

Without -N a connection stays open when stdin ends, until the other side ends
it. A client ends when both sides have; a listener when the other side has. -k
goes on until it is killed.
The slowest reader sets the pace; in a chat, who falls 1 MiB behind is cut off.
To listen on a multicast group is to join it; -s ADDR says by which interface,
here and there, and what comes by another one is not received.
A connection to itself, which a closed port of this machine can lead to by
chance, is refused (ECONNREFUSED) unless -p was given.
-e and -c, which run a program, are not here.

TIME is 500ms, 5s, 2m, 1h; a bare number is seconds.
Exit codes: 0 well, 1 cannot connect, bind or resolve, 2 bad arguments.

Examples:
  epollite nc 127.0.0.1 7777                     talk to the echo server
  epollite nc -lk --chat 7777                    a chat room, for any nc
  epollite nc -N host 7777 <in.tar >out.tar      both ways at once
  epollite nc -zv 127.0.0.1 20-30                who listens?
  epollite nc -ub 127.255.255.255 7777           to everybody here
  epollite nc -lu -s 127.0.0.1 239.1.2.3 7777    hear a multicast group
";

/// `epollite sim --help`.
pub(crate) const SIM: &str = "\
epollite sim - days of the echo server in a simulated world, laws checked

Usage: epollite sim --seed N [OPTIONS]

      --seed N        which days; the same number gives the same days
      --steps M       decisions in all, 20000 a day     [default: 1000000]
      --trigger MODE  level, edge or oneshot            [default: one each day]
      --faults        in each day a system call fails, once or for ever
  -q, --quiet         no progress
  -h, --help          this text

Clients connect, send, fall silent, half-close, vanish and come back; the
simulated kernel reads and sends short, interrupts, reorders. What must hold:
what goes out is a prefix of what came in, nobody waits for ever, memory and
turns are bounded, every descriptor is closed.
A law that breaks is named, with the words that show it again. Exit codes: 0 all
held, 1 one broke, 2 bad arguments.

Examples:
  epollite sim --seed 1                     fifty days
  epollite sim --seed 1 --faults            fifty bad ones
";

/// `epollite echo --help`.
pub(crate) const ECHO: &str = "\
epollite echo - send back every byte that comes

Usage: epollite echo [OPTIONS]
       epollite echo --check ADDR

Where (each may be given several times; default: --tcp 127.0.0.1:7777):
      --tcp ADDR           IP:PORT, [IPV6]:PORT, [IPV6%IFACE]:PORT or NAME:PORT;
                           :PORT is every address, IPv6 and IPv4 (IPv4 alone
                           where there is no IPv6); port 0 takes a free one
      --udp ADDR           the same, for datagrams
      --unix PATH          a Unix stream socket; @NAME for an abstract one, in
                           which \\xNN is a byte

How:
      --model NAME         how clients are served         [default: epoll-edge]
                             blocking     one client at a time
                             process      a process for each, forked
                             thread       a thread for each
                             nonblocking  one thread that asks all in a loop
                             select       one thread that waits, for descriptors
                                          up to 1023
                             poll         one thread that waits for all
                             coroutine    straight-line code for each, on the
                                          reactor
                             epoll-level, epoll-edge, epoll-oneshot
                                          the reactor, as with --trigger
                             prefork      processes that share one listener
                             reuseport    processes with a listener each
                           What a model cannot do it refuses.
      --workers N          processes of prefork and reuseport      [default: 4]
      --share HOW          who of prefork is woken: plain is all, exclusive is
                           one, rotate is one in turn      [default: exclusive]
      --steer HOW          which listener of reuseport gets it: by hash, by cpu
                           or random                            [default: hash]
      --trigger MODE       level, edge or oneshot               [default: edge]
      --threads N          a reactor per thread; TCP and UDP ports are shared, a
                           Unix socket belongs to one thread; with a limit of
                           connections all have one listener       [default: 1]
      --max-connections N  in all, divided among threads or workers, with shares
                           that differ by one at most; further ones wait. Only
                           with reuseport a client may wait for a worker that is
                           full although another has room: the kernel picks
                                             [default: what descriptors allow]
      --idle-timeout TIME  end silent connections                [default: off]
      --drain TIME         when it ends, time for connections to take what they
                           are owed; off cuts them                [default: 5s]
      --budget BYTES       read from one connection before the others have
                           their turn (edge)                    [default: 1MiB]

What it says:
      --log FORM           text, json or off                    [default: text]
  -v, --verbose            who connected, sent, left
  -q, --quiet              no remarks, no listening line
      --trace[=FILE]       every system call of the server (not of its log), as
                           strace -T prints it, to stderr or FILE
      --count              a table of them, as strace -c, to stdout, on SIGUSR1
                           and at the end
  -h, --help               this text

      --check ADDR         be a client: connect, send, compare; exit 0 or 1.
                           ADDR as above, tcp:ADDR, udp:ADDR or unix:PATH; every
                           address of a name is tried. A port that leads back to
                           the client itself is refused.

TIME is 500ms, 5s, 2m, 1h or off, a bare number is seconds; BYTES is 65536,
64KiB or 1MiB.

A log or trace that nobody reads is dropped, not waited for; lines of a trace
are counted then. What cannot be written (disk full, file size limit: SIGXFSZ is
ignored) is told once, and the server goes on. In JSON, the path of a socket
that is no text has its bytes in hexadecimal in address_hex.

Signals: SIGTERM, SIGINT, SIGHUP and SIGQUIT stop accepting, pay what is owed
and end; a second one ends at once. SIGINT, SIGHUP and SIGQUIT that were ignored
at the start stay ignored: so a script's Ctrl-C spares its background jobs, and
nohup works. SIGUSR1 prints statistics: connections, bytes, events, system calls
of each kind.
Exit codes: 0 well, 1 the run failed, 2 bad arguments, 69 cannot bind or unknown
host, 128 + N a second signal N (130 SIGINT, 143 SIGTERM).

Examples:
  epollite echo                                  TCP on 127.0.0.1:7777
  epollite echo --tcp :7777 --udp :7777 -v       both, on all addresses
  epollite echo --unix /tmp/echo.sock            then: nc -NU /tmp/echo.sock
  epollite echo --trigger level --threads 2      two reactors, level-triggered
  epollite echo --model select --trace           the same echo, with select(2)
  epollite echo --check 127.0.0.1:7777           is it alive?
  epollite echo --trace=calls.txt --count        see what it asks of the kernel
  kill -USR1 $(pidof epollite)                   statistics
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_help_fits_on_a_terminal() {
        for (name, text) in [("main", MAIN), ("nc", NC), ("sim", SIM), ("echo", ECHO)] {
            for line in text.lines() {
                let columns = line.chars().count();
                assert!(columns <= 80, "{name}: {columns} columns: {line}");
            }
        }
    }
}
