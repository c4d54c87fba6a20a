/* The reactor inside GLib's main loop, as a source of its own. */
#include <epollite.h>
#include <glib.h>
#include <stdio.h>
#include <sys/socket.h>

typedef struct {
    GSource source;
    epl_reactor *reactor;
    gpointer tag;
} Reactor;

/* Before GLib waits: how long the reactor lets it. */
static gboolean prepare(GSource *source, gint *timeout_ms)
{
    int64_t timeout_ns = epl_timeout(((Reactor *)source)->reactor);
    *timeout_ms = timeout_ns < 0 ? -1 : (gint)MIN((timeout_ns + 999999) / 1000000,
                                                  G_MAXINT);
    return timeout_ns == 0;
}

/* After GLib has waited: whether the reactor has something to do. */
static gboolean check(GSource *source)
{
    Reactor *it = (Reactor *)source;
    return g_source_query_unix_fd(source, it->tag) != 0
           || epl_timeout(it->reactor) == 0;
}

static gboolean dispatch(GSource *source, GSourceFunc function, gpointer data)
{
    (void)source;
    return function(data);
}

static GSourceFuncs functions = {prepare, check, dispatch, NULL, NULL, NULL};

static epl_reactor *reactor;
static uint64_t bytes, timer;

static gboolean serve(gpointer loop)
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
    if (epl_reactor_count(reactor) > 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static gboolean on_their_timer(gpointer fd)
{
    printf("GLib's timer\n");
    if (epl_send(*(int *)fd, "hello", 5) != 5)
        printf("not sent\n");
    return G_SOURCE_REMOVE;
}

int main(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0
        || epl_reactor_new(&reactor) < 0
        || epl_register(reactor, pair[0], EPL_READABLE, EPL_EDGE, NULL,
                        &bytes) < 0
        || epl_add_timer(reactor, epl_now() + 50000000, NULL, &timer) < 0)
        return 1;
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *source = g_source_new(&functions, sizeof(Reactor));
    ((Reactor *)source)->reactor = reactor;
    ((Reactor *)source)->tag =
        g_source_add_unix_fd(source, epl_reactor_fd(reactor), G_IO_IN);
    g_source_set_callback(source, serve, loop, NULL);
    g_source_attach(source, NULL);
    g_timeout_add(1, on_their_timer, &pair[1]);
    g_main_loop_run(loop);
    g_source_unref(source);
    g_main_loop_unref(loop);
    epl_reactor_free(reactor);
    epl_close_fd(pair[1]);
    return 0;
}
