package main

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// So many hosts, each with an identity of its own.
func connect(a arguments, dialers int, request bool) {
	to := *must(peer.AddrInfoFromString(a.to()))
	var nodes []node
	for range dialers {
		nodes = append(nodes, start(a.transport(), nil, false))
	}
	for _, n := range nodes[:min(4, dialers)] {
		must(once(n, to, request))
	}
	count := int(^uint(0) >> 1)
	if given, err := strconv.Atoi(a.values["count"]); err == nil {
		count = given
	}
	w := watch(a.serverPid())
	until := time.Now().Add(a.time())
	w.print(withTimes(atOnce(dialers, func(n int) ([]time.Duration, error) {
		var times []time.Duration
		for time.Now().Before(until) && len(times) < count {
			took, err := once(nodes[n], to, request)
			if err != nil {
				return nil, err
			}
			times = append(times, took)
		}
		return times, nil
	})))
}

// How long it took until the answer was there.
func once(n node, to peer.AddrInfo, request bool) (time.Duration, error) {
	began := time.Now()
	if err := n.dial(to); err != nil {
		return 0, err
	}
	if request {
		s, err := n.open(to.ID)
		if err != nil {
			return 0, err
		}
		ping, pong := bytes.Repeat([]byte{3}, 32), make([]byte, 32)
		if _, err := s.Write(ping); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(s, pong); err != nil {
			return 0, err
		}
		if err := s.CloseWrite(); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	// What identify has told: the next dial is to go where this one went.
	n.Peerstore().ClearAddrs(to.ID)
	return took, n.Network().ClosePeer(to.ID)
}
