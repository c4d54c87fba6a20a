/*
 * glib_echo PORT: an echo server on GLib's main loop: GSocketService, and for each client an
 * asynchronous read followed by an asynchronous write of all of it.
 *
 *   cc -O2 -o glib_echo glib_echo.c $(pkg-config --cflags --libs gio-2.0)
 */
#include <gio/gio.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 64 * 1024, BACKLOG = 4096 };

struct client {
    GSocketConnection *connection;
    char buffer[BUFFER_BYTES];
};

static void receive(struct client *client);

static void end(struct client *client)
{
    g_object_unref(client->connection);
    g_free(client);
}

static void on_written(GObject *output, GAsyncResult *result, gpointer data)
{
    if (g_output_stream_write_all_finish(G_OUTPUT_STREAM(output), result, NULL, NULL))
        receive(data);
    else
        end(data);
}

static void on_received(GObject *input, GAsyncResult *result, gpointer data)
{
    struct client *client = data;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(input), result, NULL);
    if (n <= 0) {
        end(client);
        return;
    }
    GOutputStream *output = g_io_stream_get_output_stream(G_IO_STREAM(client->connection));
    g_output_stream_write_all_async(output, client->buffer, (gsize)n, G_PRIORITY_DEFAULT, NULL,
                                    on_written, client);
}

static void receive(struct client *client)
{
    GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(client->connection));
    g_input_stream_read_async(input, client->buffer, sizeof client->buffer, G_PRIORITY_DEFAULT,
                              NULL, on_received, client);
}

static gboolean on_client(GSocketService *service, GSocketConnection *connection, GObject *source,
                          gpointer data)
{
    (void)service;
    (void)source;
    (void)data;
    struct client *client = g_new(struct client, 1);
    client->connection = g_object_ref(connection);
    receive(client);
    return TRUE;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: glib_echo PORT\n");
        return 2;
    }
    GSocketService *service = g_socket_service_new();
    g_socket_listener_set_backlog(G_SOCKET_LISTENER(service), BACKLOG);
    GSocketAddress *address =
        g_inet_socket_address_new_from_string("127.0.0.1", (guint)atoi(argv[1]));
    GError *error = NULL;
    if (!g_socket_listener_add_address(G_SOCKET_LISTENER(service), address, G_SOCKET_TYPE_STREAM,
                                       G_SOCKET_PROTOCOL_TCP, NULL, NULL, &error)) {
        fprintf(stderr, "glib_echo: %s\n", error->message);
        return 1;
    }
    g_signal_connect(service, "incoming", G_CALLBACK(on_client), NULL);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
