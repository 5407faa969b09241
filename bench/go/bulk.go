package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	mib  = 1 << 20
	long = 30 * time.Second
)

func bulk(a arguments, up bool, streams int) {
	n, to := connected(a)
	move := pull
	if up {
		move = push
	}
	must(move(must(n.open(to)), noLimit, warmUp))
	bytes := a.bytes()
	if bytes != noLimit {
		bytes /= uint64(streams)
	}
	var open []network.Stream
	for range streams {
		open = append(open, must(n.open(to)))
	}
	w := watch(a.serverPid())
	moved := make(chan uint64)
	for _, s := range open {
		go func() { moved <- must(move(s, bytes, a.time())) }()
	}
	var sum uint64
	for range streams {
		sum += <-moved
	}
	w.print(report{ops: float64(sum) / mib})
}

// Sends, and waits until the other end has read it all.
func push(s network.Stream, bytes uint64, limit time.Duration) (uint64, error) {
	sent, err := send(s, bytes, limit)
	if err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	var read uint64
	if err := binary.Read(s, binary.BigEndian, &read); err != nil {
		return 0, err
	}
	if read != sent {
		return 0, fmt.Errorf("%d bytes sent, %d arrived", sent, read)
	}
	return sent, s.Close()
}

func pull(s network.Stream, bytes uint64, limit time.Duration) (uint64, error) {
	wanted := binary.BigEndian.AppendUint64(nil, bytes)
	wanted = binary.BigEndian.AppendUint64(wanted, uint64(limit.Milliseconds()))
	if _, err := s.Write(wanted); err != nil {
		return 0, err
	}
	sum := drain(s)
	if bytes != noLimit && limit >= long && sum != bytes {
		return 0, fmt.Errorf("%d bytes asked for, %d arrived", bytes, sum)
	}
	// Over QUIC the server has stopped reading by now, which Close calls an error.
	_ = s.Close()
	return sum, nil
}

// One stream after another; in a short run, as many as fit.
func inTurn(a arguments, streams int) {
	n, to := connected(a)
	each := uint64(1<<30) / uint64(streams)
	must(push(must(n.open(to)), each, long))
	w := watch(a.serverPid())
	var sum uint64
	for range streams {
		sum += must(push(must(n.open(to)), each, long))
		if time.Since(w.began) > a.time() {
			break
		}
	}
	w.print(report{ops: float64(sum) / mib})
}
