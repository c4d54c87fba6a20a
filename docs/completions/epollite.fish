# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_epollite_global_optspecs
    string join \n h/help V/version
end

function __fish_epollite_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_epollite_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_epollite_using_subcommand
    set -l cmd (__fish_epollite_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c epollite -n "__fish_epollite_needs_command" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_needs_command" -s V -l version -d 'print name and version'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "echo" -d 'send every received byte back'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "nc" -d 'netcat on the reactor: socket to stdout, stdin to socket'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "sim" -d 'random scenarios of the echo server on a simulated kernel'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "study" -d 'experiments with epoll, on the model and on your kernel'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "audit" -d 'what the epolls of a process watch, and which faults that shows'
complete -c epollite -n "__fish_epollite_needs_command" -f -a "doctor" -d 'what this kernel has and permits'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l tcp -d 'IP' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l udp -d 'the same, for datagrams' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l unix -d 'a Unix stream socket' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l listen-fds -d 'the sockets that systemd passes (LISTEN_FDS), all or those of this name (LISTEN_FDNAMES)' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l takeover -d 'a Unix socket to hand over by' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l model -d 'server model' -r -f -a "blocking\t''
process\t''
thread\t''
nonblocking\t''
select\t''
poll\t''
coroutine\t''
epoll-level\t''
epoll-edge\t''
epoll-oneshot\t''
prefork\t''
reuseport\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l user -d 'once the sockets are bound, become this user' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l workers -d 'processes of prefork and reuseport' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l worker-timeout -d 'kill a worker that gives no heartbeat for this time' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l accept -d 'which workers of prefork a connection wakes' -r -f -a "all\t''
exclusive\t''
round-robin\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l reuseport-select -d 'how a listener of reuseport is selected' -r -f -a "hash\t''
cpu\t''
random\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l trigger -d 'level, edge or oneshot' -r -f -a "level\t''
edge\t''
oneshot\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l threads -d 'one reactor per thread' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l max-connections -d 'limit over all threads or workers, split into equal shares' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l idle-timeout -d 'close silent connections' -r -f -a "off\t''
30s\t''
5m\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l drain-timeout -d 'time to flush connections at shutdown' -r -f -a "off\t''
5s\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l read-budget -d 'bytes read from one connection per turn (edge)' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l spin -d 'poll before blocking' -r -f -a "auto\t''
off\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l bulk -d 'move bytes by splice(2), through pipes, without a copy in user space' -r -f -a "splice\t''
copy\t''
auto\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l allow -d 'serve only this network, 10.0.0.0/8 or' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l connections-per-address -d 'connections of one address at a time' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l udp-refuse -d 'source ports that get no answer, against loops of two servers' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l buffer-total -d 'memory for peers that do not read, 64 KiB for each at most (128 KiB with --bulk)' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l socket-buffers -d 'kernel\'s receive and send buffer of each TCP connection, which it doubles' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l log-format -d 'text, json or off' -r -f -a "text\t''
json\t''
off\t''"
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l trace -d 'every system call of the server (except those of its log), as strace -T prints it, to stderr or FILE, or with perfetto' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l explain -d 'a sentence for each decision of the server' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l recorder -d 'remember the last 4096 calls and decisions of each thread' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l metrics -d 'the statistics of SIGUSR1 by HTTP, for Prometheus' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l check -d 'act as a client' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l sandbox -d 'allow only the system calls that a server makes after its start (seccomp)'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l accept-rate -d 'N/s connections of one address'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l udp-rate -d 'N/s datagrams of one address that are answered'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -s v -l verbose -d 'log accepted, received and closed'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -s q -l quiet -d 'no messages, no listening line'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -l syscall-summary -d 'a table of system calls, as strace -c, to stdout, on SIGUSR1 and at exit'
complete -c epollite -n "__fish_epollite_using_subcommand echo" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s p -d 'source port' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s s -d 'source address or path' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s w -d 'timeout for connecting, and for idle connections' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s i -d 'delay between lines' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s W -d 'exit after N receives' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s q -d 'as -N, and exit that long afterwards (-1' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand nc" -l trace -d 'every system call but those of its messages, of name resolution and of duplicating stdin and stdout, as strace -T prints it, to stderr or FILE, or with perfetto' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s l -d 'listen'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s k -d 'accept further connections'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s u -d 'datagrams'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s U -d 'Unix sockets'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s 4 -d 'IPv4 only, IPv6 only'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s 6 -d 'IPv4 only, IPv6 only'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s n -d 'no name resolution'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s b -d 'allow broadcast datagrams'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s z -d 'connect, send nothing, report'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s v -d 'log connections'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s C -d 'send CR LF for LF'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s N -d 'shut the socket down for writing when stdin ends'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -l echo -d 'send each client its own bytes back'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -l discard -d 'discard received bytes'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -l chat -d 'send each line to all other clients, prefixed with <number>'
complete -c epollite -n "__fish_epollite_using_subcommand nc" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_using_subcommand sim" -l seed -d 'which scenarios' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand sim" -l steps -d 'steps in all, 20000 per scenario' -r -f
complete -c epollite -n "__fish_epollite_using_subcommand sim" -l trigger -d 'level, edge or oneshot' -r -f -a "level\t''
edge\t''
oneshot\t''"
complete -c epollite -n "__fish_epollite_using_subcommand sim" -l faults -d 'a system call fails in each scenario, once or always'
complete -c epollite -n "__fish_epollite_using_subcommand sim" -s q -l quiet -d 'no progress'
complete -c epollite -n "__fish_epollite_using_subcommand sim" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_using_subcommand study" -l on -d 'linux, sim (the model) or both' -r -f -a "linux\t''
sim\t''
both\t''"
complete -c epollite -n "__fish_epollite_using_subcommand study" -l score -d 'keep the score of each experiment in FILE' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand study" -l side-by-side -d 'replace the trigger of every registration' -r -f -a "level\t''
edge\t''
oneshot\t''"
complete -c epollite -n "__fish_epollite_using_subcommand study" -l svg -d 'a picture' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand study" -l perfetto -d 'a trace for ui.perfetto.dev' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand study" -l cast -d 'a recording for asciinema (asciicast v2)' -r -F
complete -c epollite -n "__fish_epollite_using_subcommand study" -l pages -d 'a page and a picture of every experiment, on the newest model' -r -f -a "(__fish_complete_directories)"
complete -c epollite -n "__fish_epollite_using_subcommand study" -l all -d 'every experiment'
complete -c epollite -n "__fish_epollite_using_subcommand study" -l predict -d 'ask before each result that most people guess'
complete -c epollite -n "__fish_epollite_using_subcommand study" -l step -d 'wait for Enter before each step'
complete -c epollite -n "__fish_epollite_using_subcommand study" -l json -d 'one object on one line, with every call and its time'
complete -c epollite -n "__fish_epollite_using_subcommand study" -l markdown -d 'a page, or the table of --all'
complete -c epollite -n "__fish_epollite_using_subcommand study" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_using_subcommand audit" -s h -l help -d 'print this text'
complete -c epollite -n "__fish_epollite_using_subcommand doctor" -l json -d 'one JSON object'
complete -c epollite -n "__fish_epollite_using_subcommand doctor" -s h -l help -d 'print this text'
