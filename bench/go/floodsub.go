package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
)

const (
	topicName = "bench"
	// The number of messages that only find out whether all are joined.
	probe = ^uint64(0)
	slots = 1 << 16
	lost  = 10 * time.Second
	// Its default of 32 loses messages when 64 are in flight.
	queue = 4096
)

type flood struct {
	topic      *pubsub.Topic
	listeners  int64
	deliveries atomic.Uint64
	heard      [slots]atomic.Int64
	free       chan struct{}
}

// floodsub-SHAPE-BYTES-WINDOW-SIGNED, in one process.
func floodsub(a arguments) {
	words := strings.Split(a.scenario(), "-")
	if len(words) != 5 {
		fail(fmt.Errorf("no such scenario: %s", a.scenario()))
	}
	size, window := must(strconv.Atoi(words[2])), must(strconv.Atoi(words[3]))
	f := joined(words[1], words[4] == "signed")
	f.join()
	f.free = make(chan struct{}, window)
	for range window {
		f.free <- struct{}{}
	}
	number := f.publish(0, size, window, warmUp)
	before := f.deliveries.Load()
	w := watch(0)
	f.publish(number, size, window, a.time())
	w.print(report{ops: float64(f.deliveries.Load() - before)})
}

func joined(shape string, signed bool) *flood {
	count := 8
	if shape == "pair" {
		count = 2
	}
	f := &flood{listeners: int64(count - 1)}
	ctx := context.Background()
	// Both name an author and a sequence number.
	policy := pubsub.StrictNoSign
	if signed {
		policy = pubsub.StrictSign
	}
	var nodes []node
	for n := range count {
		made := start("tcp-noise", echo, false)
		options := []pubsub.Option{
			pubsub.WithMessageSignaturePolicy(policy),
			pubsub.WithPeerOutboundQueueSize(queue),
			pubsub.WithValidateQueueSize(queue),
		}
		service := must(pubsub.NewFloodSub(ctx, made, options...))
		topic := must(service.Join(topicName))
		subscription := must(topic.Subscribe(pubsub.WithBufferSize(queue)))
		if n == 0 {
			f.topic = topic
		}
		go f.listen(ctx, subscription, made)
		nodes = append(nodes, made)
	}
	for from := range count {
		for to := from + 1; to < count; to++ {
			if shape != "chain" || to == from+1 {
				check(nodes[from].dial(nodes[to].info()))
			}
		}
	}
	return f
}

func (f *flood) listen(ctx context.Context, s *pubsub.Subscription, n node) {
	for {
		message, err := s.Next(ctx)
		if err != nil {
			return
		}
		if message.ReceivedFrom == n.ID() || len(message.Data) < 8 {
			continue
		}
		number := binary.BigEndian.Uint64(message.Data)
		if number == probe {
			f.heard[0].Add(1)
			continue
		}
		f.deliveries.Add(1)
		slot := &f.heard[number%slots]
		if slot.Add(1) == f.listeners {
			slot.Store(0)
			f.free <- struct{}{}
		}
	}
}

// Publishes until everybody hears it.
func (f *flood) join() {
	for range 100 {
		f.heard[0].Store(0)
		check(f.topic.Publish(context.Background(), message(probe, 64)))
		time.Sleep(100 * time.Millisecond)
		if f.heard[0].Load() == f.listeners {
			time.Sleep(400 * time.Millisecond)
			f.heard[0].Store(0)
			return
		}
	}
	fail(fmt.Errorf("the nodes did not find together"))
}

// Publishes as fast as the window allows, then waits until all has arrived.
func (f *flood) publish(number uint64, size, window int, limit time.Duration) uint64 {
	until := time.Now().Add(limit)
	for time.Now().Before(until) {
		f.wait()
		check(f.topic.Publish(context.Background(), message(number, size)))
		number++
	}
	for range window {
		f.wait()
	}
	for range window {
		f.free <- struct{}{}
	}
	return number
}

func (f *flood) wait() {
	select {
	case <-f.free:
	case <-time.After(lost):
		fail(fmt.Errorf("a message was lost"))
	}
}

func message(number uint64, size int) []byte {
	data := bytes.Repeat([]byte{1}, max(size, 8))
	binary.BigEndian.PutUint64(data, number)
	return data
}
