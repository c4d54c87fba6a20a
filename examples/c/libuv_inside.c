/* libuv's loop inside the reactor. */
#include <epollite.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static void on_their_timer(uv_timer_t *handle)
{
    int *fd = handle->data;
    printf("libuv's timer\n");
    if (epl_send(*fd, "hello", 5) != 5)
        printf("not sent\n");
    uv_close((uv_handle_t *)handle, NULL);
}

static void on_their_bytes(uv_poll_t *handle, int status, int events)
{
    char text[16];
    int *fd = handle->data;
    ssize_t len = epl_recv(*fd, text, sizeof text);
    printf("libuv received %.*s: %d %d\n", (int)len, text, status, events);
    uv_close((uv_handle_t *)handle, NULL);
}

/*
 * Runs what is due in libuv, without waiting. Returns whether it has more to
 * do, and tells the reactor when to come back at the latest.
 */
static int run_libuv(epl_reactor *reactor, uint64_t token, uv_loop_t *loop)
{
    int has_more = uv_run(loop, UV_RUN_NOWAIT);
    int timeout_ms = uv_backend_timeout(loop);
    if (has_more && timeout_ms >= 0)
        epl_set_deadline(reactor, token,
                         epl_now() + (uint64_t)timeout_ms * 1000000);
    else
        epl_cancel_deadline(reactor, token);
    return has_more;
}

int main(void)
{
    int ours[2], theirs[2];
    epl_reactor *reactor;
    epl_event event;
    uint64_t bytes, inner;
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t timer;
    uv_poll_t poll;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ours) < 0
        || socketpair(AF_UNIX, SOCK_STREAM, 0, theirs) < 0
        || uv_timer_init(loop, &timer) != 0
        || uv_poll_init(loop, &poll, theirs[0]) != 0)
        return 1;
    timer.data = &ours[1];
    poll.data = &theirs[0];
    uv_timer_start(&timer, on_their_timer, 10, 0);
    uv_poll_start(&poll, UV_READABLE, on_their_bytes);
    /* The reactor closes what is registered, so it gets a duplicate. */
    if (epl_reactor_new(&reactor) < 0
        || epl_register(reactor, dup(uv_backend_fd(loop)), EPL_READABLE,
                        EPL_LEVEL, NULL, &inner) < 0
        || epl_register(reactor, ours[0], EPL_READABLE, EPL_LEVEL, NULL,
                        &bytes) < 0)
        return 1;
    int has_more = run_libuv(reactor, inner, loop);
    while (has_more && epl_next(reactor, EPL_FOREVER, &event) == 1) {
        if (event.token == bytes) {
            char text[16];
            ssize_t len = epl_recv(ours[0], text, sizeof text);
            printf("the reactor received %.*s\n", (int)len, text);
            if (epl_send(theirs[1], text, (size_t)len) != len)
                return 1;
        }
        /* Also after an event of our own: it may have given libuv work. */
        has_more = run_libuv(reactor, inner, loop);
    }
    epl_reactor_free(reactor);
    epl_close_fd(ours[1]);
    epl_close_fd(theirs[0]);
    epl_close_fd(theirs[1]);
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
