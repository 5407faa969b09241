package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func pingPong(a arguments, size int) {
	n, to := connected(a)
	s := must(n.open(to))
	must(backAndForth(s, size, time.Now().Add(warmUp)))
	w := watch(a.serverPid())
	w.print(withTimes(must(backAndForth(s, size, time.Now().Add(a.time())))))
}

// Sends and waits for the echo; the time of each.
func backAndForth(s io.ReadWriter, size int, until time.Time) ([]time.Duration, error) {
	ping, pong := bytes.Repeat([]byte{5}, size), make([]byte, size)
	times := make([]time.Duration, 0, 1<<16)
	now := time.Now()
	for now.Before(until) {
		if _, err := s.Write(ping); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(s, pong); err != nil {
			return nil, err
		}
		then := now
		now = time.Now()
		times = append(times, now.Sub(then))
	}
	return times, nil
}

func open(a arguments, inFlight int) {
	repeat(a, inFlight, func(n node, to peer.ID) error {
		s, err := n.open(to)
		if err != nil {
			return err
		}
		ping, pong := bytes.Repeat([]byte{5}, 32), make([]byte, 32)
		if _, err := s.Write(ping); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, pong); err != nil {
			return err
		}
		if !bytes.Equal(ping, pong) {
			return fmt.Errorf("another echo")
		}
		return s.Close()
	})
}

func request(a arguments, size, inFlight int) {
	body := bytes.Repeat([]byte{5}, size)
	repeat(a, inFlight, func(n node, to peer.ID) error {
		s, err := n.open(to)
		if err != nil {
			return err
		}
		if _, err := s.Write(body); err != nil {
			return err
		}
		if err := s.CloseWrite(); err != nil {
			return err
		}
		got, err := io.ReadAll(s)
		if err != nil {
			return err
		}
		if len(got) != size {
			return fmt.Errorf("an answer of %d bytes", len(got))
		}
		return s.Close()
	})
}

// Does what over and over, so many times at once.
func repeat(a arguments, inFlight int, what func(node, peer.ID) error) {
	n, to := connected(a)
	rounds := func(until time.Time) []time.Duration {
		return atOnce(inFlight, func(int) ([]time.Duration, error) {
			times := make([]time.Duration, 0, 1<<10)
			now := time.Now()
			for now.Before(until) {
				if err := what(n, to); err != nil {
					return nil, err
				}
				then := now
				now = time.Now()
				times = append(times, now.Sub(then))
			}
			return times, nil
		})
	}
	rounds(time.Now().Add(warmUp))
	w := watch(a.serverPid())
	w.print(withTimes(rounds(time.Now().Add(a.time()))))
}
