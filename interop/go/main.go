// A peer on the published go-libp2p, to test ours against.
//
//	go-peer floodsub TOPIC [--listen ADDR] [--dial ADDR] [--mdns] [--security noise|tls]
//	go-peer pipe listen|connect ADDR     stdin and stdout over one stream, as `peerage pipe` does it
//	go-peer perf server ADDR             /perf/1.0.0
//	go-peer perf client ADDR SEND RECEIVE
//
// Events are one JSON object per line, on stdout (on stderr for pipe); it ends at the end of input.
//
//	main.go     arguments, events
//	node.go     hosts, and what was negotiated
//	room.go     floodsub, ping, identify, mDNS
//	streams.go  raw streams: pipe, perf
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

type event map[string]any

var (
	saying sync.Mutex
	// Where events go.
	events io.Writer = os.Stdout
)

func say(what event) {
	line := must(json.Marshal(what))
	saying.Lock()
	defer saying.Unlock()
	_, _ = fmt.Fprintf(events, "%s\n", line)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func main() {
	words := os.Args[1:]
	switch {
	case len(words) >= 2 && words[0] == "floodsub":
		room(words[1], options(words[2:]))
	case len(words) == 3 && words[0] == "pipe":
		events = os.Stderr
		pipe(words[1], words[2])
	case len(words) == 3 && words[0] == "perf" && words[1] == "server":
		perfServer(words[2])
	case len(words) == 5 && words[0] == "perf" && words[1] == "client":
		perfClient(words[2], words[3], words[4])
	default:
		fail(fmt.Errorf("usage: go-peer floodsub TOPIC .. | pipe listen|connect ADDR | perf server|client ADDR .."))
	}
}

type wishes struct {
	listen, dial, security string
	mdns                   bool
}

func options(words []string) wishes {
	var w wishes
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == "--mdns" {
			w.mdns = true
			continue
		}
		if len(words) == 0 {
			fail(fmt.Errorf("%s of what?", word))
		}
		switch word {
		case "--listen":
			w.listen = words[0]
		case "--dial":
			w.dial = words[0]
		case "--security":
			w.security = words[0]
		default:
			fail(fmt.Errorf("unknown flag %s", word))
		}
		words = words[1:]
	}
	return w
}
