package main

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// Peers that work beside the silent one.
const others = 100

func fairnessBulk(a arguments) {
	n, to := connected(a)
	s := must(n.open(to))
	must(backAndForth(s, 32, time.Now().Add(warmUp)))
	alone := percentile(must(backAndForth(s, 32, time.Now().Add(a.time()/2))), 99)

	busy, _ := connected(a)
	flood := must(busy.open(to))
	var echoed atomic.Uint64
	go write(flood)
	go func() {
		buf := make([]byte, chunk)
		for {
			read, err := flood.Read(buf)
			echoed.Add(uint64(read))
			if err != nil {
				return
			}
		}
	}()
	time.Sleep(warmUp)
	before := echoed.Load()
	w := watch(a.serverPid())
	times := must(backAndForth(s, 32, time.Now().Add(a.time())))
	rate := float64(echoed.Load()-before) / mib / time.Since(w.began).Seconds()
	loaded := percentile(times, 99)
	w.print(report{ops: float64(len(times)), value: &loaded, extra: map[string]float64{
		"alone_p99_us": alone, "more_us": loaded - alone, "bulk_echo_mib_s": rate,
	}})
}

func write(s network.Stream) {
	buf := make([]byte, chunk)
	for {
		if _, err := s.Write(buf); err != nil {
			return
		}
	}
}

func fairnessSilent(a arguments) {
	server := a.serverPid()
	var streams []network.Stream
	for range others {
		n, to := connected(a)
		streams = append(streams, must(n.open(to)))
	}
	rounds := func(limit time.Duration) []time.Duration {
		until := time.Now().Add(limit)
		return atOnce(others, func(n int) ([]time.Duration, error) {
			return backAndForth(streams[n], 32, until)
		})
	}
	perOp := func(used time.Duration, count int) float64 {
		return used.Seconds() * 1e6 / float64(max(count, 1))
	}
	rounds(warmUp)
	before := cpu(server)
	alone := len(rounds(a.time()))
	aloneUs := perOp(cpu(server)-before, alone)
	held := residentKib(server)

	n, to := connected(a)
	go write(must(n.open(to)))
	time.Sleep(5 * warmUp)
	held = residentKib(server) - held
	before = cpu(server)
	w := watch(server)
	times := rounds(a.time())
	w.print(report{ops: float64(len(times)), extra: map[string]float64{
		"alone_per_s":          float64(alone) / a.time().Seconds(),
		"alone_server_cpu_us":  aloneUs,
		"beside_server_cpu_us": perOp(cpu(server)-before, len(times)),
		"held_kib":             max(held, 0),
	}})
}
