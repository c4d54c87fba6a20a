# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_epollite_bench_global_optspecs
    string join \n h/help V/version
end

function __fish_epollite_bench_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_epollite_bench_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_epollite_bench_using_subcommand
    set -l cmd (__fish_epollite_bench_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -s V -l version -d 'Print version'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "merge" -d 'Adds up the results of several ranks of `load --out DIR`'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "compare" -d 'Compares echo servers with a C baseline: paired, with an A/A control'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "models" -d 'Compares the server models by number of connections'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "instructions" -d 'Counts a server\'s instructions per echo, and compares them with a baseline'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "alignment" -d 'Measures what a receive and a send cost by the offset of the buffer within a page'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "scale" -d 'Measures what an event and an idle connection cost as connections grow'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "examine" -d 'Examines one echo server: is each byte right, whatever its clients do'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "soak" -d 'Loads one server for a long time: does what it uses stay flat'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "attacks" -d 'Measures the latency of one polite client while others attack the server'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "report" -d 'Renders the JSON of compare and models: an HTML page, and its plots as SVG'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "worker"
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "completions" -d 'Writes a completion script for a shell to standard output'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "load" -d 'Loads one echo server and checks every byte that comes back'
complete -c epollite-bench -n "__fish_epollite_bench_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand merge" -l hgrm -d 'Prints the percentile distribution in HdrHistogram\'s text format, in microseconds; or writes it to a file of its own' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand merge" -l json -d 'The result as JSON instead of a table'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand merge" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l servers -d 'Servers to compare, separated by commas: names, models, peers, all [default: the epoll models, C, and the installed peers]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l extra -d 'A server of your own, in addition to --servers; {port} becomes a free port. For UDP cases use NAME=udp:COMMAND, for Unix socket cases a command with {path}; commands with the same NAME are one server' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l cases -d 'Cases to run, separated by commas [default: all]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l reference -d 'The server that ratios are taken to; a second copy of it is the A/A control' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l rounds -d 'Measured rounds, after one warm-up round [default: 24; of models 12]; with fewer than 6 there are no intervals and no comparison' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l slice -d 'How long each server is busy in one round: 50ms, 1s' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l idle -d 'Idle connections for the memory measurement; 0 skips it' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l program -d 'Path of the epollite program [default: it is built]' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l json -d 'Writes all results to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l list -d 'Lists servers and cases, and measures nothing'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l no-check -d 'Do not check first which servers get their bytes wrong'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -l no-syscalls -d 'Do not count system calls'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand compare" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l models -d 'Models to compare, separated by commas [default: all]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l connections -d 'Numbers of connections, separated by commas' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l reference -d 'The server that ratios are taken to; a second copy of it is the A/A control' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l rounds -d 'Measured rounds, after one warm-up round [default: 24; of models 12]; with fewer than 6 there are no intervals and no comparison' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l slice -d 'How long each server is busy in one round: 50ms, 1s' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l idle -d 'Idle connections for the memory measurement; 0 skips it' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l program -d 'Path of the epollite program [default: it is built]' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l json -d 'Writes all results to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -l no-syscalls -d 'Do not count system calls'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand models" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -l servers -d 'Servers to count, separated by commas [default: the epoll modes, coroutine, C]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -l cases -d 'Cases to count, separated by commas [default: all]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -l baseline -d 'The baseline file [default: instructions.txt beside the sources]' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -l program -d 'Path of the epollite program [default: it is built]' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -l bless -d 'Writes the counts into the baseline instead of comparing with it'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand instructions" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand alignment" -l rounds -d 'Rounds; the medians are printed' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand alignment" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -l max -d 'The most connections; ten times fewer, and so on, are measured too' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -l rounds -d 'Rounds; the medians are printed' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -l json -d 'Also writes the results to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -l svg -d 'Also writes the plot to this file, as SVG' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -l from -d 'Prints and plots an earlier result of --json, and measures nothing' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand scale" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l start -d 'Starts the server, and examines its process too; {port} becomes a free port, and {path} a path' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l servers -d 'Examines servers that this program knows, separated by commas: names, models, peers, all' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l program -d 'With --servers: the epollite program, instead of building it' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l unix -d 'The server is at a Unix socket: a path, or a name that begins with @' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l only -d 'Runs only cases whose name contains one of these words, separated by commas' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l except -d 'Leaves out cases whose name contains one of these words' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l timeout -d 'How long a case may take' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l again -d 'A case that fails runs so many times again, and its reason says how often it failed' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l json -d 'Also writes the results to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l junit -d 'Also writes the results to this file, as JUnit XML' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l markdown -d 'Also writes a page about the servers to this file, as Markdown' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l from -d 'Examines nothing: takes the results from this file, written with --json' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l udp -d 'The server echoes datagrams'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l list -d 'Lists the cases: what is right, and which document says so'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -l one-client -d 'The server serves one client at a time: cases that need more are skipped'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -s q -l quiet -d 'Prints only failures and the sum'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand examine" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l start -d 'Starts the server; {port} becomes a free port. Where {path} stands too, it becomes the path of a Unix socket, and clients come there as well; where {metrics} stands, it becomes the port of its page for Prometheus' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l duration -d 'How long' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l reload -d 'Sends SIGHUP to the server so often: it must lose nothing then either' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l seed -d 'Seed of all random choices' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l json -d 'Also writes the samples to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l svg -d 'Also writes the curves to this folder, as SVG: memory.svg, descriptors.svg, exchanges.svg, and one for each gauge' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l from -d 'Loads nothing: prints and plots an earlier result of --json' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -l udp -d 'The server also echoes datagrams, at the same port'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand soak" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l servers -d 'Servers to attack, separated by commas: names, models, peers, all' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l extra -d 'A server of your own, in addition to --servers; {port} becomes a free port' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l attacks -d 'Attacks, separated by commas [default: all]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l rounds -d 'Rounds: each attacks every server once in every way' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l slice -d 'How long the polite client is measured at a time: before, during and after an attack' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l fail-if -d 'Exit code 1 if epollite, or a server of --extra, has a greater ratio, or fails' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l program -d 'Path of the epollite program [default: it is built]' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -l json -d 'Also writes the figures to this file, as JSON' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand attacks" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand report" -s o -l output -d 'The HTML page' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand report" -l svg -d 'Also writes each plot to a file in this folder: ratios-c64.svg, latency-c64.svg, ...' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand report" -l markdown -d 'Also writes the page as Markdown, with the plots of --svg, whose folder must be beside it' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand report" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand worker" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand completions" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s c -l connections -d 'Number of connections; for UDP, of sockets with a port each' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s d -l depth -d 'Messages in flight per connection [default: 1; with --rate no limit]' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s s -l size -d 'Message sizes: 64, 16k, uniform:64-4096, exp:1000, list:64,1500,9000' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l warmup -d 'Warm-up before the measurement' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l stall-timeout -d 'Fail when no response has arrived for this long' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l loss-timeout -d 'UDP: count a datagram as lost after this long' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l seed -d 'Seed of the random sizes and intervals' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l pin -d 'Pin the generator to this CPU' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l server-pid -d 'The server\'s process on this machine, to measure its CPU too' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s r -l rate -d 'Open loop: messages per second over all connections, independent of responses: 5000, 100k. Latencies count from the intended send time' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s t -l duration -d 'Duration of the measurement' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s n -l count -d 'Number of messages to measure, instead of a duration' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l hlog -d 'Write the latencies of each second as an HdrHistogram interval log' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l hgrm -d 'Prints the percentile distribution in HdrHistogram\'s text format, in microseconds; or writes it to a file of its own' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l fail-if -d 'Exit with 1 if this holds: p99>2ms, rate<100k, errors>0, lost>0, refused>0. May be repeated' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l start-at -d 'Start at this time: 2026-01-31T12:00:00Z, or seconds since 1970 as @1800000000' -r
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l out -d 'Write the result to the file of this rank in a folder' -r -F
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l udp -d 'Use UDP'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l unix -d 'Use a Unix stream socket'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l churn -d 'One connection per message: connect, one message, half-close, wait for EOF'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l gso -d 'UDP: send the datagrams of a window in one call, segmented by the kernel'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l poisson -d 'Random intervals between messages instead of equal ones'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -l json -d 'Print the result as JSON instead of a table'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand load" -s h -l help -d 'Print help'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "merge" -d 'Adds up the results of several ranks of `load --out DIR`'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "compare" -d 'Compares echo servers with a C baseline: paired, with an A/A control'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "models" -d 'Compares the server models by number of connections'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "instructions" -d 'Counts a server\'s instructions per echo, and compares them with a baseline'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "alignment" -d 'Measures what a receive and a send cost by the offset of the buffer within a page'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "scale" -d 'Measures what an event and an idle connection cost as connections grow'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "examine" -d 'Examines one echo server: is each byte right, whatever its clients do'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "soak" -d 'Loads one server for a long time: does what it uses stay flat'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "attacks" -d 'Measures the latency of one polite client while others attack the server'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "report" -d 'Renders the JSON of compare and models: an HTML page, and its plots as SVG'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "worker"
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "completions" -d 'Writes a completion script for a shell to standard output'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "load" -d 'Loads one echo server and checks every byte that comes back'
complete -c epollite-bench -n "__fish_epollite_bench_using_subcommand help; and not __fish_seen_subcommand_from merge compare models instructions alignment scale examine soak attacks report worker completions load help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
