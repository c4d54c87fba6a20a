/*
 * libuv_echo PORT: an echo server on libuv, as in its manual: a buffer for each read,
 * uv_try_write first, and uv_write for what the socket did not take.
 *
 *   cc -O2 -o libuv_echo libuv_echo.c -luv
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { BUFFER_BYTES = 256 * 1024, BACKLOG = 4096 };

/* One buffer for all connections: data that uv_try_write does not accept is copied. */
static char shared[BUFFER_BYTES];

struct pending {
    uv_write_t request;
    char bytes[];
};

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

static void lend(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(shared, sizeof shared);
}

static void on_read(uv_stream_t *client, ssize_t n, const uv_buf_t *buf);

/* The pending data is written: reads again. */
static void on_written(uv_write_t *request, int status)
{
    uv_stream_t *client = request->handle;
    free(request->data);
    if (status == 0)
        uv_read_start(client, lend, on_read);
    else if (!uv_is_closing((uv_handle_t *)client))
        uv_close((uv_handle_t *)client, on_close);
}

static void on_read(uv_stream_t *client, ssize_t n, const uv_buf_t *buf)
{
    if (n == 0)
        return;
    if (n < 0) {
        uv_close((uv_handle_t *)client, on_close);
        return;
    }
    uv_buf_t whole = uv_buf_init(buf->base, (unsigned)n);
    int taken = uv_try_write(client, &whole, 1);
    if (taken == UV_EAGAIN)
        taken = 0;
    if (taken < 0) {
        uv_close((uv_handle_t *)client, on_close);
        return;
    }
    if (taken == n)
        return;
    struct pending *pending = malloc(sizeof *pending + (size_t)(n - taken));
    memcpy(pending->bytes, buf->base + taken, (size_t)(n - taken));
    pending->request.data = pending;
    uv_buf_t rest = uv_buf_init(pending->bytes, (unsigned)(n - taken));
    uv_read_stop(client);
    uv_write(&pending->request, client, &rest, 1, on_written);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    uv_tcp_t *client = malloc(sizeof *client);
    uv_tcp_init(listener->loop, client);
    if (uv_accept(listener, (uv_stream_t *)client) < 0) {
        uv_close((uv_handle_t *)client, on_close);
        return;
    }
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, lend, on_read);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: libuv_echo PORT\n");
        return 2;
    }
    /* It writes by write(2), which raises it once the peer has reset the connection. */
    signal(SIGPIPE, SIG_IGN);
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;
    struct sockaddr_in address;
    uv_tcp_init(loop, &listener);
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    int error = uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection);
    if (error != 0) {
        fprintf(stderr, "libuv_echo: %s\n", uv_strerror(error));
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
