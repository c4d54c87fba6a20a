# tcl_echo.tcl PORT: each client's channel is copied to itself in the background. Without a port it
# says its version.

if {$argc == 0} {
    puts "Tcl [info patchlevel]"
    exit
}

proc accept {channel address port} {
    fconfigure $channel -translation binary -blocking 0
    fcopy $channel $channel -command [list finish $channel]
}

proc finish {channel bytes {error ""}} {
    catch {close $channel}
}

socket -server accept -myaddr 127.0.0.1 [lindex $argv 0]
vwait forever
