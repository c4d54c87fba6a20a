//! The texts of `--help`. No line is longer than 80 columns.

/// `epollite --help`.
pub(crate) const MAIN: &str = "\
epollite - an epoll echo server for benchmarks and for study

Usage: epollite COMMAND [OPTIONS]

Commands:
  echo       serve echo over TCP, UDP and Unix sockets, or check such a server
  nc         netcat: sockets to stdin and stdout, many clients at once
  sim        random scenarios of the server on a simulated kernel
  study      experiments with epoll: what people expect, the model, your kernel
  audit      the epolls of a process: what each watches, and its faults
  doctor     what this kernel has and permits, and what to raise

Options:
  -h, --help     print this text; 'epollite COMMAND --help' for a command
  -V, --version  print name and version

Examples:
  epollite echo                                  TCP on 127.0.0.1:7777
  echo hello | nc -N 127.0.0.1 7777              ... and a client
  epollite study                                 what epoll does: where to begin
";

/// `epollite nc --help`.
pub(crate) const NC: &str = "\
epollite nc - netcat on the reactor: socket to stdout, stdin to socket

Usage: epollite nc [OPTIONS] HOST PORT           connect
       epollite nc -l [OPTIONS] [HOST] PORT      listen
       epollite nc -U [OPTIONS] PATH             a Unix socket; @NAME for an
                                                 abstract one, \\xNN a byte
       epollite nc -z [OPTIONS] HOST PORT[-PORT] scan ports

Flags have the meaning they have in OpenBSD's nc and can be combined (-lkv,
-w5):
  -l          listen; port 0 picks a free port (-v prints it)
  -k          accept further connections; many at once, unlike OpenBSD's nc
  -u          datagrams: UDP, with -U Unix ones; -lu sends to every address
              that it has received from
  -U          Unix sockets
  -4, -6      IPv4 only, IPv6 only; -l without HOST is IPv4 unless -6 is given
  -n          no name resolution; numbers are read as inet_aton(3) does (127.1),
              PORT may still be a service name (/etc/services)
  -p PORT     source port
  -s ADDR     source address or path
  -b          allow broadcast datagrams
  -z          connect, send nothing, report
  -v          log connections; -vv: every event, with token and epoll bits
  -w TIME     timeout for connecting, and for idle connections
  -i TIME     delay between lines
  -W N        exit after N receives
  -C          send CR LF for LF
  -N          shut the socket down for writing when stdin ends
  -q TIME     as -N, and exit that long afterwards (-1: never). -q 0 is -N: the
              answer is printed until the peer closes (-u exits at once)

With -l, received bytes go to stdout and stdin goes to every client; or:
  --echo      send each client its own bytes back
  --discard   discard received bytes
  --chat      send each line to all other clients, prefixed with <number>; and
              to stdout
  --trace[=FILE]
              every system call but those of its messages, of name resolution
              and of duplicating stdin and stdout, as strace -T prints it, to
              stderr or FILE, or with perfetto:FILE for ui.perfetto.dev
  -h, --help  print this text

Without -N a connection stays open after stdin ends, until the peer closes it. A
client exits when both directions have ended, a listener when the peer's has; -k
runs until it is killed.
The slowest reader sets the pace; in a chat, a client whose backlog exceeds 1
MiB is disconnected.
Listening on a multicast group joins it; -s ADDR selects the interface, for
sending and receiving, and datagrams from other interfaces are not received.
A connection to itself, which connecting to a closed port of this machine can
lead to by chance, is refused (ECONNREFUSED) unless -p was given.
-e and -c, which run a program, do not exist here.

TIME is 500ms, 5s, 2m, 1h; a bare number is seconds.
Exit codes: 0 success, 1 cannot connect, bind or resolve, 2 usage error.

Examples:
  epollite nc 127.0.0.1 7777                     talk to the echo server
  epollite nc -lk --chat 7777                    a chat room, for any nc
  epollite nc -N host 7777 <in.tar >out.tar      both directions at once
  epollite nc -zv 127.0.0.1 20-30                scan ports
  epollite nc -ub 127.255.255.255 7777           broadcast
  epollite nc -lu -s 127.0.0.1 239.1.2.3 7777    receive a multicast group
";

/// `epollite sim --help`.
pub(crate) const SIM: &str = "\
epollite sim - random scenarios of the echo server on a simulated kernel

Usage: epollite sim --seed N [OPTIONS]

      --seed N        which scenarios; the same number gives the same ones
      --steps M       steps in all, 20000 per scenario  [default: 1000000]
      --trigger MODE  level, edge or oneshot     [default: random per scenario]
      --faults        a system call fails in each scenario, once or always
  -q, --quiet         no progress
  -h, --help          print this text

Clients connect, send, go silent, half-close, disconnect and reconnect; the
simulated kernel makes short reads and writes, interrupts calls and reorders
events. Invariants: bytes out are a prefix of bytes in, no client waits forever,
memory and calls are bounded, every descriptor is closed.
A violated invariant is printed with the command line that reproduces it. Exit
codes: 0 all hold, 1 an invariant is violated, 2 usage error.

Examples:
  epollite sim --seed 1                     fifty scenarios
  epollite sim --seed 1 --faults            fifty with faults
";

/// `epollite study --help`.
pub(crate) const STUDY: &str = "\
epollite study - experiments with epoll, on the model and on your kernel

Usage: epollite study                    where to begin
       epollite study words              what IN, RDHUP, HUP, drain, ghost mean
       epollite study list [WORD]        list the experiments, those with a word
       epollite study [OPTIONS] NAME     run one and explain it
       epollite study [OPTIONS] --all    run all: a table of this kernel's facts
       epollite study --predict NAME...  guess before it is shown; also --all
       epollite study show NAME          print the text of one
       epollite study [OPTIONS] run FILE run one from a file

Where:
      --on KERNEL     linux, sim (the model) or both             [default: both]
      --all           every experiment

How it is shown (one of these; default: a page for a terminal):
      --predict       ask before each result that most people guess; type a
                      letter, or a result as in the notation below
        --score FILE  keep the score of each experiment in FILE
      --step          wait for Enter before each step
      --side-by-side TRIGGER TRIGGER [TRIGGER]
                      replace the trigger of every registration: level, edge,
                      oneshot; the first result that differs is marked
      --json          one object on one line, with every call and its time
      --markdown      a page, or the table of --all

Files, besides the page of one experiment:
      --svg FILE      a picture: lanes of descriptors, calls, the ready list
      --perfetto FILE a trace for ui.perfetto.dev
      --cast FILE     a recording for asciinema (asciicast v2)
      --pages FOLDER  a page and a picture of every experiment, on the newest
                      model; Chinese texts are read from FOLDER/zh/NAME.txt
  -h, --help          print this text

An experiment is a few system calls, one a line, with the result that Linux is
expected to give and the one that most people expect. It is shown call by call,
as strace prints them; then people, model and kernel are compared.

A file begins with 'question:', 'wiring:', 'people:', 'because:' and 'lesson:';
'depends: FILE: WORD' (the code that relies on it), 'unmodelled: WHY' and
'since: 6.9' (older kernels cannot run it) may follow. Then one call a line:
  CALL [= RESULT [or RESULT] [since VERSION, else RESULT] [, people RESULT]]
  [; NOTE]
CALL, with names for descriptors; a line that begins with # is a comment:
  tcp S C                       both ends of a connection: accepted, connecting
  socketpair A B KIND           of Unix sockets: stream, datagram or seqpacket
  socket S KIND                 tcp, tcp6, udp, unix-stream or unix-datagram
  bind S [at IP | as S2 [at IP]] | listen S N | connect S TO | accept S NEW
  clients S N | acceptall S     N connections to S; accepts and closes all
  epoll E | add E FD EVENTS | mod E FD EVENTS | del E FD | wait E [MAX]
  fastest E TIMEOUT             the shortest of 50 waits, in us; 50us or 1ms
  send S BYTES [oob|zerocopy] | sendto S TO BYTES
  sendmany S TO N BYTES [segments N]
  recv S MAX [oob|peek] | recvfrom S MAX | recvmany S N
  write FD BYTES | read FD MAX | splice FD FD2 MAX
  fill FD | fillto S TO | drain FD [MAX]   until there is no room, or no more
  shutdown S read|write|both | close FD | dup FD NEW | eventfd FD N
  pipe R W | setpipe FD N | fifo R | reopen FD NEW read|write
  setsockopt S NAME N | getsockopt S NAME | optlen S NAME | getpeername S
  outq S | inq FD | ioctl FD REQUEST [N] | setfl FD blocking|nonblocking
  errqueue S | errcode S | atmark S | sendfd S FD BYTES | recvfd S MAX NEW
  readnow FD MAX                preadv2 with RWF_NOWAIT
  waitat E null|kernel MAX | pwait E TIMEOUT   a bad address; no signal blocked
  nofile [N]                    N more descriptors can be opened; as before
  block SIGNAL... | signalfd FD SIGNAL... | raise SIGNAL | handle URG|WINCH
  timerfd FD | settime FD MS [EVERY-MS] | file FD | open FD \"/path\"
  inotify FD | fanotify FD | watch FD FILE | pty FD | ptypeer FD NEW
  uring FD | queue FD | enter FD | bpfring FD | output FD | perf FD
  mounts FD | bindmount FD      in a namespace of mounts for this thread
  @W wait E [MAX] | @W poll E | @W join    by thread W, or by process P
  @W recvmmsg S N TIMEOUT
  kill W URG|WINCH              with a handler, ignored
  fork P | kill P STOP|CONT|KILL | pidfd FD P | reap P | peerpid S NEW
  seccomp P FD | peer P S       a child whose getppid waits; whose socket S is
  ptrace                        how many times longer a traced call takes
TO: the name of a socket, open or closed; 's0 at IP' with another address
EVENTS: IN PRI OUT ERR HUP RDHUP EXCLUSIVE ONESHOT ET, or none
BYTES: \"text\", 50*\"x\", u64 1
RESULT: ok, 5, 1..9, 1.., BYTES, \"x\" from c0, nothing, s0 IN RDHUP, blocked,
        EAGAIN, error EPIPE (of SO_ERROR), peer c0, signal USR1, or ? for any.
        Without one the call must not fail.

A device that the kernel lacks skips an experiment; one that the model lacks
is \"not modelled\".

Exit codes: 0 as expected, 1 a result differs or a file cannot be written, 2
usage error, unknown name or a mistake in a file. A wrong guess is no failure.

Examples:
  epollite study edge-residue               why edge mode must drain
  epollite study --predict edge-residue     ... but guess first
  epollite study half-close --side-by-side level edge
  epollite study edge-late --svg late.svg   a picture of it
  epollite study list eventfd               those with a word, or of a section
  epollite study show edge-late >my.txt     a start for one of your own
  epollite study run my.txt
";

/// `epollite audit --help`.
pub(crate) const AUDIT: &str = "\
epollite audit - what the epolls of a process watch, and which faults that shows

Usage: epollite audit PID
       epollite audit self

For each epoll of the process a table of its registrations, as the kernel holds
them (/proc/PID/fdinfo): descriptor, mask, token or data, and what the
descriptor is. In a program made with epollite, data is a token: slot and
generation. Then the faults:
  ghost          the descriptor is closed and a duplicate keeps the registration
                 alive; files are compared by kcmp(2), where that is not
                 permitted by their inodes
  not watched    a socket is open and in no epoll (descriptors 0 to 2 are not
                 meant)
  no interest    level-triggered for nothing: EPOLLERR and EPOLLHUP come anyway
  OUT, nothing   level-triggered for room to send, over TCP, with an empty send
  to send        queue: the loop spins

A fault counts if two looks show it. The process is not stopped or changed. It
must be of the same user, or the caller have CAP_SYS_PTRACE.

'self' audits a reactor of its own, once without faults and once with one of
each kind, and compares the reactor's table with the kernel's.

  -h, --help  print this text

Exit codes: 0 no faults ('self': exactly the planted ones), 1 faults, or no such
process, or no permission; 2 usage error.

Examples:
  epollite audit $(pidof epollite)          of a running server
  epollite audit self                       what faults look like
";

/// `epollite doctor --help`.
pub(crate) const DOCTOR: &str = "\
epollite doctor - what this kernel has and permits

Usage: epollite doctor [--json]

Every feature is probed by the call itself, in this process: a sandbox counts
too. For each there is a line with its name, its state (yes, no and the error)
and, if it is missing, what epollite does without it. Then the limits, with what
they limit and how to raise those that are low.

      --json  one JSON object
  -h, --help  print this text

Exit codes: 0 nothing that epollite needs is missing, 1 something is, 2 usage
error.
";

/// `epollite echo --help`.
pub(crate) const ECHO: &str = "\
epollite echo - send every received byte back

Usage: epollite echo [OPTIONS]
       epollite echo --check ADDR

Listen addresses (may be repeated; default: --tcp 127.0.0.1:7777):
      --tcp ADDR             IP:PORT, [IPV6]:PORT, [IPV6%IFACE]:PORT or
                             NAME:PORT; :PORT is every address, IPv6 and IPv4
                             (IPv4 only where there is no IPv6); port 0 picks a
                             free one
      --udp ADDR             the same, for datagrams
      --unix PATH            a Unix stream socket; @NAME for an abstract one, in
                             which \\xNN is a byte
      --listen-fds[=NAME]    the sockets that systemd passes (LISTEN_FDS), all
                             or those of this name (LISTEN_FDNAMES): listening
                             TCP and Unix sockets, UDP and Unix datagram ones
      --takeover PATH        a Unix socket to hand over by. If a server has it,
                             all sockets are taken over from that server, not
                             bound: none is closed, and no queued connection is
                             lost. That server accepts until this one serves,
                             serves its connections until they end, for the
                             drain timeout at most, and exits. Only for the same
                             user, or by root

Server:
      --model NAME           server model                 [default: epoll-edge]
                               blocking     one client at a time
                               process      one process per client (fork)
                               thread       one thread per client
                               nonblocking  one thread, polls all sockets
                               select       one thread, select(2), descriptors
                                            up to 1023
                               poll         one thread, poll(2)
                               coroutine    one coroutine per client, on the
                                            reactor
                               epoll-level, epoll-edge, epoll-oneshot
                                            the reactor, as with --trigger
                               prefork      processes sharing one listener
                               reuseport    processes with one listener each
                             Options a model does not support are rejected.
      --user USER            once the sockets are bound, become this user: NAME,
                             UID (in its own group) or UID:GID. Needs root.
                             Other groups and all capabilities are given up, and
                             it is checked that they cannot be had again
      --sandbox              allow only the system calls that a server makes
                             after its start (seccomp): another one ends it by
                             SIGSYS. Epoll models, x86_64
      --workers N            processes of prefork and reuseport    [default: 4]
      --worker-timeout TIME  kill a worker that gives no heartbeat for this
                             time; one that has exited is replaced after 50ms,
                             after each further failure later, up to 10s
                                                                  [default: 30s]
      --accept HOW           which workers of prefork a connection wakes: all,
                             exclusive (one), round-robin
                                                           [default: exclusive]
      --reuseport-select HOW how a listener of reuseport is selected: hash, cpu,
                             random                             [default: hash]
      --trigger MODE         level, edge or oneshot             [default: edge]
      --threads N            one reactor per thread; TCP and UDP ports are
                             shared, a Unix socket belongs to one thread; with a
                             connection limit all threads share one listener
                                                                   [default: 1]
      --max-connections N    limit over all threads or workers, split into equal
                             shares; further clients wait. With reuseport a
                             client may wait for a full worker while another has
                             room: the kernel selects the worker
                                        [default: limited by RLIMIT_NOFILE only]
      --idle-timeout TIME    close silent connections            [default: off]
      --drain-timeout TIME   time to flush connections at shutdown; off closes
                             them at once                         [default: 5s]
      --read-budget BYTES    bytes read from one connection per turn (edge)
                                                               [default: 128KiB]
      --spin HOW             poll before blocking: auto (while events come in 20
                             us), off, or a time up to 10ms before every wait
                                                                  [default: off]
      --bulk HOW             move bytes by splice(2), through pipes, without a
                             copy in user space: splice, copy, or auto (those of
                             a connection that streams)          [default: copy]

Limits of peers, over all threads or workers (docs/cli.md has the rules):
      --allow CIDR           serve only this network, 10.0.0.0/8 or ::1; may be
                             repeated. Others are closed at once, and their
                             datagrams dropped; Unix sockets are not concerned
      --connections-per-address N
                             connections of one address at a time; for IPv6 an
                             address is a /64, here and below     [default: off]
      --accept-rate N/s      connections of one address: N/s, N/m or N/h, all at
                             once if there were none before       [default: off]
      --udp-rate N/s         datagrams of one address that are answered
                                                                  [default: off]
      --udp-refuse PORTS     source ports that get no answer, against loops of
                             two servers: reserved (below 1024, and known
                             reflectors) or reflectors (known ones only)
                                                             [default: reserved]
      --buffer-total BYTES   memory for peers that do not read, 64 KiB for each
                             at most (128 KiB with --bulk); split into equal
                             shares, 64 KiB each at least. Without room, bytes
                             wait in the kernel until they are sent
                                                               [default: 64MiB]
      --socket-buffers BYTES kernel's receive and send buffer of each TCP
                             connection, which it doubles; of fixed size then
                                              [default: they grow to megabytes]

Output:
      --log-format FORMAT    text, json or off                  [default: text]
  -v, --verbose              log accepted, received and closed
  -q, --quiet                no messages, no listening line
      --trace[=FILE]         every system call of the server (except those of
                             its log), as strace -T prints it, to stderr or
                             FILE, or with perfetto:FILE for ui.perfetto.dev
                             (JSON, a track for each thread or process)
      --explain[=FILE]       a sentence for each decision of the server: what it
                             does with an event, and why; implies --recorder
      --recorder[=FILE]      remember the last 4096 calls and decisions of each
                             thread; printed on SIGUSR2 and after a panic, to
                             stderr or FILE
      --metrics ADDR         the statistics of SIGUSR1 by HTTP, for Prometheus:
                             GET /metrics, sums over all threads. ADDR as --tcp
      --syscall-summary      a table of system calls, as strace -c, to stdout,
                             on SIGUSR1 and at exit
  -h, --help                 print this text

      --check ADDR           act as a client: connect, send, compare; exit 0 or
                             1. ADDR as above, or tcp:ADDR, udp:ADDR, unix:PATH;
                             every address of a name is tried. A port that leads
                             back to the client itself is refused.

TIME is 500ms, 5s, 2m, 1h or off, a bare number is seconds; BYTES is 65536,
64KiB or 1MiB.

Log and trace lines are dropped when writing them would block; dropped trace
lines are counted. An output that cannot be written (disk full, file size limit;
SIGXFSZ is ignored) is reported once, and the server continues. In JSON, a
socket path that is not text has its bytes in hexadecimal in address_hex.

Signals: SIGTERM, SIGINT, SIGHUP and SIGQUIT stop accepting, flush pending data
and exit; a second one exits at once. SIGINT, SIGHUP and SIGQUIT that were
ignored at startup stay ignored, so that Ctrl-C in a script spares its
background jobs and nohup works. SIGHUP does not end a server under systemd, or
with a file of --trace, --explain or --recorder: it opens these files again, for
log rotation (not those for perfetto, or of models that fork; with --user and
--sandbox only what these permit).
SIGUSR1 prints statistics: connections, bytes, events, system calls by name.
With --recorder or --explain SIGUSR2 prints the flight recorder; without, it is
ignored.
Under systemd (NOTIFY_SOCKET) it tells READY=1 when it listens, STOPPING=1 when
a shutdown begins, RELOADING=1 and READY=1 at SIGHUP (Type=notify-reload), and
WATCHDOG=1 in half of WatchdogSec, if every thread serves its events
(WATCHDOG_USEC; epoll models only). A thread that hangs cannot be replaced: the
log names it, and systemd ends the server. One that panics ends it in order.
Exit codes: 0 success, 1 runtime error, 2 usage error, 69 cannot bind, take over
or use a passed socket, or unknown host, 128 + N second signal N (130 SIGINT,
143 SIGTERM).

Examples:
  epollite echo                                  TCP on 127.0.0.1:7777
  epollite echo --tcp :7777 --udp :7777 -v       both, on all addresses
  epollite echo --unix /tmp/echo.sock            then: nc -NU /tmp/echo.sock
  epollite echo --trigger level --threads 2      two reactors, level-triggered
  epollite echo --model select --trace           the same echo, with select(2)
  epollite echo --check 127.0.0.1:7777           health check
  epollite echo --trace=calls.txt                every system call, in a file
  epollite echo --takeover @echo                 again: replaces the first one
  epollite echo --tcp :7 --user 7:7 --sandbox    as root: a port below 1024
  kill -USR1 $(pidof epollite)                   print statistics
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_help_fits_on_a_terminal() {
        for (name, text) in [
            ("main", MAIN),
            ("nc", NC),
            ("sim", SIM),
            ("study", STUDY),
            ("echo", ECHO),
            ("audit", AUDIT),
            ("doctor", DOCTOR),
        ] {
            for line in text.lines() {
                let columns = line.chars().count();
                assert!(columns <= 80, "{name}: {columns} columns: {line}");
            }
        }
    }
}
