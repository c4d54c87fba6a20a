/*
 * epollite: an epoll reactor for Linux, for programs in C and C++.
 *
 * A reactor owns descriptors and waits for all of them at once. It has no
 * callbacks, no threads and no globals: the loop is yours.
 *
 *     epl_reactor *reactor;
 *     if (epl_reactor_new(&reactor) < 0)
 *         ...
 *     int listener = epl_listen("127.0.0.1:7777", 0);
 *     uint64_t token;
 *     epl_register(reactor, listener, EPL_READABLE, EPL_LEVEL, NULL, &token);
 *     epl_event event;
 *     while (epl_next(reactor, EPL_FOREVER, &event) == 1)
 *         ...
 *
 * Results. A function that can fail returns a negative errno: -EAGAIN, and
 * never -1 with errno set. epl_strerror() has its text. An interrupted call is
 * repeated: -EINTR is returned only after many interruptions in a row.
 *
 * Misuse. NULL where a pointer is needed, an unknown constant and a number out
 * of range are -EINVAL; a token whose registration has ended is -ENOENT; a
 * negative descriptor is -EBADF. A pointer that is neither NULL nor valid
 * cannot be detected.
 *
 * Threads. A reactor or a server is used by one thread at a time; it may move
 * to another thread between two calls. Exceptions: epl_wake() and
 * epl_echo_stop(), from any thread or signal handler. Different reactors are
 * independent of each other.
 *
 * Fork. A child shares the epoll and the descriptors with its parent: it may
 * close their numbers or call exec, but not use or free the reactor.
 *
 * Descriptors that the library creates are non-blocking and closed by exec.
 * Sends never raise SIGPIPE.
 */
#ifndef EPOLLITE_H
#define EPOLLITE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- version -- */

/* The version of this header: major * 1000000 + minor * 1000 + patch. */
#define EPL_VERSION 1000

/*
 * The version of the library that the program runs with. Reactors, servers and
 * options are not created for a header of another version: -ELIBBAD. A program
 * that only calls the functions for sockets compares it with EPL_VERSION.
 */
int epl_version(void);

/* The same as a text: "0.1.0". */
const char *epl_version_string(void);

/* strerror(3), for a negative result or an errno; never NULL. */
const char *epl_strerror(int error);

/* The name of an error: "ECONNRESET"; "0" for 0, "?" for an unknown one. */
const char *epl_errno_name(int error);

/* ------------------------------------------------------------- reactor -- */

/* A reactor. */
typedef struct epl_reactor epl_reactor;

/* Interest, and what is ready: the bits of epoll_ctl(2). */
#define EPL_READABLE    0x0001u /* bytes, connections or the end: EPOLLIN */
#define EPL_PRIORITY    0x0002u /* urgent data: EPOLLPRI */
#define EPL_WRITABLE    0x0004u /* room to send: EPOLLOUT */
#define EPL_READ_CLOSED 0x2000u /* the peer has shut its side: EPOLLRDHUP */
/* Only reported, without interest in them. */
#define EPL_ERROR       0x0008u /* EPOLLERR */
#define EPL_HUP         0x0010u /* EPOLLHUP */

/* When an event is reported. */
#define EPL_LEVEL          0u /* as long as the condition holds */
#define EPL_EDGE           1u /* once, when something arrives */
#define EPL_ONESHOT        2u /* once; then nothing until epl_modify() */
#define EPL_EDGE_ONESHOT   3u /* both */
#define EPL_EXCLUSIVE      4u /* level, and one of the epolls is woken */
#define EPL_EXCLUSIVE_EDGE 5u /* edge, and one of the epolls is woken */

/* Kinds of events. */
#define EPL_IO    1u /* a descriptor is ready */
#define EPL_TIMER 2u /* the deadline of a registration has passed */
#define EPL_WOKEN 3u /* epl_wake() was called */

/* A timeout: wait without limit. Any other negative one is -EINVAL. */
#define EPL_FOREVER (-1)

typedef struct epl_event {
    uint64_t token; /* the registration; UINT64_MAX for EPL_WOKEN */
    void *data;     /* its pointer; set by epl_next() only */
    uint32_t kind;  /* EPL_IO, EPL_TIMER or EPL_WOKEN */
    uint32_t ready; /* for EPL_IO: what is ready */
} epl_event;

/*
 * Creates a reactor for up to registrations_max registrations and events_max
 * events of one epoll_wait(2); 0 is the default: a thousand million, and 256.
 * Returns 0; or -EMFILE, -ENFILE, -ENOMEM; -ELIBBAD if the library is not of
 * this header's version. *reactor is NULL after an error; after -ELIBBAD and
 * -EINVAL it may be as it was.
 */
#define epl_reactor_new(reactor) epl_reactor_create(reactor, 0, 0, EPL_VERSION)
int epl_reactor_create(epl_reactor **reactor, uint32_t registrations_max,
                       uint32_t events_max, int version);

/*
 * Creates a reactor in storage of yours, and allocates nothing, then or later:
 *
 *     static uint64_t storage[EPL_STORAGE_WORDS(64, 16)];
 *     epl_reactor_init(&reactor, storage, sizeof storage, 64, 16);
 *
 * for up to registrations_max registrations and timers, and events_max events
 * of one epoll_wait(2); neither may be 0. The storage is the reactor's until
 * epl_reactor_free(), and must not be moved. One registration more is -ENOSPC.
 * Errors: as epl_reactor_create(); -EINVAL if the storage is NULL, not aligned
 * as a uint64_t, or smaller than epl_storage_bytes().
 */
#define epl_reactor_init(reactor, storage, bytes, registrations_max, events) \
    epl_reactor_create_in(reactor, storage, bytes, registrations_max,        \
                          events, EPL_VERSION)
int epl_reactor_create_in(epl_reactor **reactor, void *storage, size_t bytes,
                          uint32_t registrations_max, uint32_t events_max,
                          int version);

/* The bytes of storage that it needs; 0 for numbers that it refuses. */
size_t epl_storage_bytes(uint32_t registrations_max, uint32_t events_max);

/* Elements of an array of uint64_t that are enough, as a constant. */
#define EPL_STORAGE_WORDS(registrations_max, events_max) \
    (64u + 8u * (registrations_max) + 2u * (events_max))

/*
 * Closes every registered descriptor and frees the reactor. NULL is allowed.
 * Storage of yours is yours again.
 */
void epl_reactor_free(epl_reactor *reactor);

/*
 * The descriptor of its epoll, which is readable when an event is pending: to
 * wait for the reactor in another loop. It stays the reactor's.
 */
int epl_reactor_fd(const epl_reactor *reactor);

/* How many registrations there are. */
uint32_t epl_reactor_count(const epl_reactor *reactor);

/* How many events came too late, for a registration that had ended. */
uint64_t epl_reactor_stale_events(const epl_reactor *reactor);

/*
 * Registers a descriptor, which becomes non-blocking. After success it is the
 * reactor's, and *token identifies the registration; no other one ever gets
 * the same token. After an error it is still yours, and may be non-blocking.
 * One or two system calls more than epoll_ctl(2).
 * Errors: -EPERM a file that cannot be waited for, -EEXIST, -ENOSPC too many
 * registrations, -ENOMEM, -EINVAL.
 */
int epl_register(epl_reactor *reactor, int fd, uint32_t interest,
                 uint32_t trigger, void *data, uint64_t *token);

/*
 * Changes interest and trigger, and arms a one-shot registration again. An
 * exclusive one cannot be changed: -EINVAL.
 */
int epl_modify(epl_reactor *reactor, uint64_t token, uint32_t interest,
               uint32_t trigger);

/* Ends a registration; returns its descriptor, which is yours again. */
int epl_deregister(epl_reactor *reactor, uint64_t token);

/* Ends a registration and closes its descriptor. */
int epl_close(epl_reactor *reactor, uint64_t token);

/* The descriptor of a registration, to read and write. It stays its. */
int epl_fd(epl_reactor *reactor, uint64_t token);

/* Reads and sets the pointer of a registration. */
int epl_data(epl_reactor *reactor, uint64_t token, void **data);
int epl_set_data(epl_reactor *reactor, uint64_t token, void *data);

/*
 * Reports the registration again, with `ready`, after the kernel's next events
 * and without waiting: for an edge-triggered descriptor that was not read to
 * its end, so that others are served in between.
 */
int epl_requeue(epl_reactor *reactor, uint64_t token, uint32_t ready);

/*
 * Waits for one event, timeout_ns nanoseconds at most. Returns 1 with an
 * event, 0 when the time has passed, or a negative errno. Events for
 * registrations that have ended are left out.
 */
int epl_next(epl_reactor *reactor, int64_t timeout_ns, epl_event *event);

/*
 * The same for up to events_max events; returns how many there are. While you
 * handle one, you may close the registration of a later one: its token is
 * stale then, which epl_data() reports. That is why `data` is NULL here.
 */
int epl_next_batch(epl_reactor *reactor, int64_t timeout_ns, epl_event *events,
                   int events_max);

/* ----------------------------------------------------------- deadlines -- */

/* Now: nanoseconds of CLOCK_MONOTONIC. */
uint64_t epl_now(void);

/*
 * Adds a timer, which has no descriptor: EPL_TIMER once epl_now() has reached
 * deadline_ns. It stays after that: epl_set_deadline() sets it again, and
 * epl_close() removes it. epl_fd() and epl_deregister() of it are -EBADF.
 * Errors: -ENOSPC, -ENOMEM, -EINVAL.
 */
int epl_add_timer(epl_reactor *reactor, uint64_t deadline_ns, void *data,
                  uint64_t *token);

/*
 * Reports EPL_TIMER for the registration once epl_now() has reached
 * deadline_ns; replaces an earlier deadline of it. A deadline is not reported
 * before the events that were ready at that time. Errors: -ENOENT, -ENOMEM.
 */
int epl_set_deadline(epl_reactor *reactor, uint64_t token,
                     uint64_t deadline_ns);

/* Cancels it. Returns 1 if there was one, 0 if there was none, or -ENOENT. */
int epl_cancel_deadline(epl_reactor *reactor, uint64_t token);

/*
 * How long another loop may wait that waits for epl_reactor_fd(), which is
 * readable for events of the kernel only: nanoseconds until a deadline; 0 if
 * epl_next() has something to report at once; EPL_FOREVER without a deadline;
 * -EINVAL. To be asked when epl_next() has returned 0.
 */
int64_t epl_timeout(epl_reactor *reactor);

/* ------------------------------------------------------------- wake-ups -- */

/*
 * Makes epl_wake() possible: creates an eventfd. To be called once, by the
 * thread of the reactor.
 */
int epl_enable_wake(epl_reactor *reactor);

/*
 * Makes epl_next() return EPL_WOKEN. From any thread, and from a signal
 * handler. Put the work into a queue of yours before; several wake-ups may be
 * reported as one. -ENOENT without epl_enable_wake().
 */
int epl_wake(const epl_reactor *reactor);

/* -------------------------------------------------------------- sockets -- */

/*
 * Addresses are texts: "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80",
 * "unix:/run/echo.sock", "unix:@abstract". They are parsed, not resolved.
 * Other texts are -EINVAL. EPL_ADDRESS_BYTES has room for every address.
 */
#define EPL_ADDRESS_BYTES 448

/* A flag: several sockets share the port, and the kernel selects one. */
#define EPL_REUSE_PORT 1u

/*
 * A listening socket for TCP or Unix streams; port 0 is a free one. TCP
 * connections inherit: no delay, keep-alive, urgent bytes in line.
 */
int epl_listen(const char *address, uint32_t flags);

/* A bound datagram socket. */
int epl_bind_datagram(const char *address, uint32_t flags);

/*
 * A stream socket whose connection is under way: once it is writable,
 * epl_socket_error() has the result.
 */
int epl_connect(const char *address);

/* The pending error of a socket, which is cleared: 0 or a negative errno. */
int epl_socket_error(int fd);

/*
 * Accepts a connection, and returns its descriptor; -EAGAIN if none waits.
 * `peer` is NULL or has room for its address, which is cut if it is longer.
 */
int epl_accept(int listener, char *peer, size_t peer_bytes);

/*
 * Receives up to `len` bytes. Returns how many; 0 at the end of the stream;
 * -EAGAIN when nothing is there now.
 */
ssize_t epl_recv(int fd, void *buf, size_t len);

/* Sends up to `len` bytes. Returns how many; -EAGAIN when there is no room. */
ssize_t epl_send(int fd, const void *buf, size_t len);

/*
 * Receives a datagram, and the address of its sender as in epl_accept().
 * Returns how many bytes `buf` holds; what did not fit is lost.
 */
ssize_t epl_recvfrom(int fd, void *buf, size_t len, char *peer,
                     size_t peer_bytes);

/* Sends a datagram. */
ssize_t epl_sendto(int fd, const void *buf, size_t len, const char *address);

/* Shuts one or both directions: SHUT_RD, SHUT_WR, SHUT_RDWR. */
int epl_shutdown(int fd, int how);

/* Closes a descriptor that no reactor owns. */
int epl_close_fd(int fd);

/* TCP_NODELAY: 1 sends small messages at once. */
int epl_set_nodelay(int fd, int is_on);

/*
 * The addresses of a socket and of its peer. Returns the length of the text;
 * -ERANGE if there is no room: what fits is there.
 */
ssize_t epl_local_address(int fd, char *text, size_t bytes);
ssize_t epl_peer_address(int fd, char *text, size_t bytes);

/* ----------------------------------------------------------- echo server -- */

/* A server that sends every received byte back. */
typedef struct epl_echo epl_echo;

typedef struct epl_echo_options {
    uint32_t trigger;          /* EPL_LEVEL, EPL_EDGE or EPL_ONESHOT */
    uint32_t connections_max;  /* further ones wait */
    uint64_t buffer_bytes;     /* of the receive buffer, shared by all */
    uint64_t idle_timeout_ns;  /* closes silent connections; 0: never */
    uint64_t drain_timeout_ns; /* to flush connections after a stop */
} epl_echo_options;

typedef struct epl_echo_stats {
    uint64_t connections; /* now */
    uint64_t accepted;    /* all others: since the start */
    uint64_t closed;
    uint64_t reset;
    uint64_t timed_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t messages;
} epl_echo_stats;

/*
 * Sets every option to its default. -ELIBBAD if the library is not of this
 * header's version, whose options may be larger: *options is as it was.
 */
#define epl_echo_options_init(options)                            \
    epl_echo_options_defaults(options, sizeof(epl_echo_options), \
                              EPL_VERSION)
int epl_echo_options_defaults(epl_echo_options *options, size_t bytes,
                              int version);

/* Creates a server; options may be NULL. Errors: as epl_reactor_create(). */
#define epl_echo_new(echo, options) epl_echo_create(echo, options, EPL_VERSION)
int epl_echo_create(epl_echo **echo, const epl_echo_options *options,
                    int version);

/* Closes everything and frees the server. NULL is allowed. */
void epl_echo_free(epl_echo *echo);

/*
 * Listens on an address; may be called several times. `bound` is NULL or has
 * room for the address with the port that it got; -ERANGE if it had none: it
 * listens all the same. -ESHUTDOWN after a stop.
 */
int epl_echo_listen(epl_echo *echo, const char *address, char *bound,
                    size_t bound_bytes);

/* Serves until it was stopped and the last connection has closed. */
int epl_echo_run(epl_echo *echo);

/*
 * Serves what is ready, and waits timeout_ns nanoseconds at most for it.
 * Returns 1; 0 when it was stopped and the last connection has closed.
 */
int epl_echo_run_once(epl_echo *echo, int64_t timeout_ns);

/* Stops a server, for good. From any thread, and from a signal handler. */
int epl_echo_stop(const epl_echo *echo);

/* Reads the counters. */
int epl_echo_read_stats(epl_echo *echo, epl_echo_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
