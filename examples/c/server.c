/* The ready-made echo server; SIGINT or SIGTERM stops it: server [ADDRESS]. */
#include <epollite.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

static epl_echo *echo;

static void stop(int signal)
{
    (void)signal;
    epl_echo_stop(echo);
}

int main(int argc, char **argv)
{
    char bound[EPL_ADDRESS_BYTES];
    epl_echo_stats stats;
    int error = epl_echo_new(&echo, NULL);
    if (error == 0)
        error = epl_echo_listen(echo, argc > 1 ? argv[1] : "127.0.0.1:7777",
                                bound, sizeof bound);
    if (error < 0) {
        fprintf(stderr, "server: %s\n", epl_strerror(error));
        return 1;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    printf("listening on %s\n", bound);
    fflush(stdout);
    error = epl_echo_run(echo);
    epl_echo_read_stats(echo, &stats);
    printf("%" PRIu64 " connections, %" PRIu64 " bytes\n", stats.accepted,
           stats.bytes_out);
    epl_echo_free(echo);
    return error < 0;
}
