package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	pipeName = protocol.ID("/peerage/pipe/1.0.0")
	perfName = protocol.ID("/perf/1.0.0")
	chunk    = 64 << 10
)

func listening(h host.Host) {
	for _, address := range addresses(h) {
		say(event{"event": "listening", "addr": address})
	}
}

func open(h host.Host, to peer.ID, name protocol.ID) network.Stream {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return must(h.NewStream(ctx, to, name))
}

func pipe(role, address string) {
	accepted := make(chan network.Stream, 1)
	var stream network.Stream
	switch role {
	case "listen":
		h := start(address, "")
		h.SetStreamHandler(pipeName, func(s network.Stream) {
			select {
			case accepted <- s:
			default:
				_ = s.Reset()
			}
		})
		listening(h)
		stream = <-accepted
	case "connect":
		h := start("", "")
		stream = open(h, dial(h, address), pipeName)
	default:
		fail(fmt.Errorf("listen or connect?"))
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(stream, os.Stdin)
		if err == nil {
			err = stream.CloseWrite()
		}
		sent <- err
	}()
	must(io.Copy(os.Stdout, stream))
	check(<-sent)
	// What was written last is still on its way: go-libp2p's Close does not wait for it.
	time.Sleep(500 * time.Millisecond)
}

// Eight bytes that say how much is wanted, an upload up to its end, then what was wanted.
func perfServer(address string) {
	h := start(address, "")
	h.SetStreamHandler(perfName, func(s network.Stream) {
		var wanted uint64
		if binary.Read(s, binary.BigEndian, &wanted) != nil {
			_ = s.Reset()
			return
		}
		received, err := io.Copy(io.Discard, s)
		if err == nil {
			err = send(s, wanted)
		}
		if err != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
		say(event{"event": "run", "received": received, "sent": wanted})
	})
	listening(h)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func perfClient(address, up, down string) {
	upload, download := must(strconv.ParseUint(up, 10, 64)), must(strconv.ParseUint(down, 10, 64))
	h := start("", "")
	s := open(h, dial(h, address), perfName)
	check(binary.Write(s, binary.BigEndian, download))
	check(send(s, upload))
	check(s.CloseWrite())
	received := must(io.Copy(io.Discard, s))
	if uint64(received) != download {
		fail(fmt.Errorf("%d bytes came, %d were wanted", received, download))
	}
	say(event{"event": "run", "received": received, "sent": upload})
}

func send(to io.Writer, bytes uint64) error {
	part := make([]byte, chunk)
	for bytes > 0 {
		n := min(uint64(len(part)), bytes)
		if _, err := to.Write(part[:n]); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}
