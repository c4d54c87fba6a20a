// go_echo PORT: a goroutine for each client.
package main

import (
	"fmt"
	"net"
	"os"
)

func echo(client net.Conn) {
	defer client.Close()
	buf := make([]byte, 64*1024)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_echo:", err)
		os.Exit(1)
	}
	for {
		if client, err := listener.Accept(); err == nil {
			go echo(client)
		}
	}
}
