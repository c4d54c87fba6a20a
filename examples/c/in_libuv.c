/* The reactor inside libuv's loop. */
#include <epollite.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <uv.h>

static epl_reactor *reactor;
static uint64_t bytes, timer;
static uv_poll_t readable;
static uv_timer_t deadline;

static void serve(void);

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events;
    serve();
}

static void on_deadline(uv_timer_t *handle)
{
    (void)handle;
    serve();
}

/* Serves what is ready, without waiting, and lets libuv wait for the rest. */
static void serve(void)
{
    epl_event event;
    while (epl_next(reactor, 0, &event) == 1) {
        if (event.token == timer) {
            printf("the reactor's timer\n");
            epl_close(reactor, timer);
        } else {
            char text[16];
            ssize_t len = epl_recv(epl_fd(reactor, bytes), text, sizeof text);
            printf("the reactor received %.*s\n", (int)len, text);
            epl_close(reactor, bytes);
        }
    }
    if (epl_reactor_count(reactor) == 0) {
        uv_close((uv_handle_t *)&readable, NULL);
        uv_close((uv_handle_t *)&deadline, NULL);
        return;
    }
    /* Milliseconds, rounded up: a timer of libuv is not early. */
    int64_t timeout_ns = epl_timeout(reactor);
    if (timeout_ns == EPL_FOREVER)
        uv_timer_stop(&deadline);
    else
        uv_timer_start(&deadline, on_deadline,
                       ((uint64_t)timeout_ns + 999999) / 1000000, 0);
}

static void on_their_timer(uv_timer_t *handle)
{
    int *fd = handle->data;
    printf("libuv's timer\n");
    if (epl_send(*fd, "hello", 5) != 5)
        printf("not sent\n");
    uv_close((uv_handle_t *)handle, NULL);
}

int main(void)
{
    int pair[2];
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t theirs;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0
        || epl_reactor_new(&reactor) < 0
        || epl_register(reactor, pair[0], EPL_READABLE, EPL_EDGE, NULL,
                        &bytes) < 0
        || epl_add_timer(reactor, epl_now() + 50000000, NULL, &timer) < 0
        || uv_poll_init(loop, &readable, epl_reactor_fd(reactor)) != 0
        || uv_poll_start(&readable, UV_READABLE, on_readable) != 0
        || uv_timer_init(loop, &deadline) != 0
        || uv_timer_init(loop, &theirs) != 0)
        return 1;
    theirs.data = &pair[1];
    uv_timer_start(&theirs, on_their_timer, 1, 0);
    serve();
    uv_run(loop, UV_RUN_DEFAULT);
    epl_reactor_free(reactor);
    epl_close_fd(pair[1]);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
