// go-libp2p, as libp2p.New gives it: identify runs on every connection, and Connect waits for it.
//
// main.go     arguments, a server's and a client's life
// node.go     hosts
// measure.go  one core, processor time, percentiles
// bulk.go, exchange.go, connect.go, fairness.go, floodsub.go  the scenarios, as in kit/src/scenario
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What the runner says: a role, then "--name value" pairs.
type arguments struct {
	role   string
	values map[string]string
}

func parse(words []string) arguments {
	if len(words) == 0 {
		fail(fmt.Errorf("which role?"))
	}
	values := make(map[string]string)
	for n := 1; n+1 < len(words); n += 2 {
		values[strings.TrimPrefix(words[n], "--")] = words[n+1]
	}
	return arguments{words[0], values}
}

func (a arguments) scenario() string  { return a.values["scenario"] }
func (a arguments) transport() string { return a.values["transport"] }
func (a arguments) to() string        { return a.values["to"] }

func (a arguments) serverPid() int {
	pid, _ := strconv.Atoi(a.values["server-pid"])
	return pid
}

// How long the timed part lasts.
func (a arguments) time() time.Duration {
	seconds, err := strconv.ParseFloat(a.values["seconds"], 64)
	if err != nil {
		seconds = 2
	}
	return time.Duration(seconds * float64(time.Second))
}

// How much a bulk scenario sends; without a limit, what fits into the time.
func (a arguments) bytes() uint64 {
	bytes, err := strconv.ParseUint(a.values["bytes"], 10, 64)
	if err != nil {
		return noLimit
	}
	return bytes
}

const noLimit = ^uint64(0)

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
	arguments := parse(os.Args[1:])
	if core, given := arguments.values["core"]; given {
		check(pin(must(strconv.Atoi(core))))
		runtime.GOMAXPROCS(1)
	} else {
		runtime.GOMAXPROCS(2)
	}
	switch arguments.role {
	case "server":
		server(arguments)
	case "client":
		client(arguments)
	case "floodsub":
		floodsub(arguments)
	default:
		fail(fmt.Errorf("no such role: %s", arguments.role))
	}
}

func server(a arguments) {
	scenario := a.scenario()
	serve := echo
	switch {
	case strings.HasPrefix(scenario, "bulk-down"):
		serve = source
	case strings.HasPrefix(scenario, "bulk"):
		serve = sink
	case strings.HasPrefix(scenario, "request"):
		serve = answer
	}
	node := start(a.transport(), serve, strings.HasPrefix(scenario, "idle"))
	line := must(json.Marshal(map[string]string{"address": node.address()}))
	fmt.Println(string(line))
	// Until the runner ends it, or goes away itself.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func client(a arguments) {
	words := strings.Split(a.scenario(), "-")
	number := func(at int) int {
		if at >= len(words) {
			fail(fmt.Errorf("no such scenario: %s", a.scenario()))
		}
		return must(strconv.Atoi(words[at]))
	}
	switch {
	case strings.HasPrefix(a.scenario(), "bulk-streams"):
		inTurn(a, number(2))
	case words[0] == "bulk":
		bulk(a, words[1] == "up", number(2))
	case a.scenario() == "connect":
		connect(a, 1, false)
	case a.scenario() == "connect-request":
		connect(a, 1, true)
	case words[0] == "connect":
		connect(a, number(2), true)
	case words[0] == "ping":
		pingPong(a, number(2))
	case words[0] == "open":
		open(a, number(1))
	case words[0] == "request":
		request(a, number(1), number(2))
	case a.scenario() == "fairness-bulk":
		fairnessBulk(a)
	case a.scenario() == "fairness-silent":
		fairnessSilent(a)
	default:
		fail(fmt.Errorf("no such scenario: %s", a.scenario()))
	}
}
