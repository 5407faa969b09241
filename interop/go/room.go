package main

import (
	"bufio"
	"context"
	"os"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	identified "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// Lines from stdin are published; everything that happens is told.
func room(name string, w wishes) {
	ctx := context.Background()
	h := start(w.listen, w.security)
	h.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, conn network.Conn) {
			state := conn.ConnState()
			say(event{
				"event": "connected", "peer": conn.RemotePeer().String(), "dialer": conn.Stat().Direction == network.DirOutbound,
				"security": state.Security, "muxer": state.StreamMultiplexer, "early_muxer": state.UsedEarlyMuxerNegotiation,
				"transport": state.Transport, "suite": suite(conn),
			})
			go pings(h, conn.RemotePeer())
		},
		DisconnectedF: func(_ network.Network, conn network.Conn) {
			say(event{"event": "closed", "peer": conn.RemotePeer().String()})
		},
	})
	heard := must(h.EventBus().Subscribe([]any{
		new(identified.EvtPeerIdentificationCompleted), new(identified.EvtPeerIdentificationFailed),
	}))
	go identifications(heard)

	// Its default is StrictSign: it signs, and takes no message without a signature that holds.
	router := must(pubsub.NewFloodSub(ctx, h))
	topic := must(router.Join(name))
	changes := must(topic.EventHandler())
	go subscriptions(ctx, changes)
	messages := must(topic.Subscribe())
	go receive(ctx, messages, h.ID())

	say(event{"event": "ready", "peer": h.ID().String()})
	if w.listen != "" {
		for _, address := range addresses(h) {
			say(event{"event": "listening", "addr": address})
		}
	}
	if w.mdns {
		check(mdns.NewMdnsService(h, "", finder{h}).Start())
	}
	if w.dial != "" {
		dial(h, w.dial)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := topic.Publish(ctx, lines.Bytes()); err != nil {
			say(event{"event": "error", "message": err.Error()})
		}
	}
	_ = h.Close()
}

// Five, one every 300 ms.
func pings(h host.Host, to peer.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	results := ping.Ping(ctx, h, to)
	for range 5 {
		result, more := <-results
		if !more {
			return
		}
		told := event{"event": "ping", "peer": to.String(), "ok": result.Error == nil, "us": result.RTT.Microseconds()}
		if result.Error != nil {
			told["why"] = result.Error.Error()
		}
		say(told)
		time.Sleep(300 * time.Millisecond)
	}
}

func identifications(heard identified.Subscription) {
	for one := range heard.Out() {
		switch told := one.(type) {
		case identified.EvtPeerIdentificationCompleted:
			var addrs []string
			for _, address := range told.ListenAddrs {
				addrs = append(addrs, address.String())
			}
			say(event{
				"event": "identified", "peer": told.Peer.String(), "agent": told.AgentVersion, "protocols": told.Protocols,
				"addrs": addrs, "observed": told.ObservedAddr.String(), "record": told.SignedPeerRecord != nil,
			})
		case identified.EvtPeerIdentificationFailed:
			say(event{"event": "error", "message": "identify: " + told.Reason.Error()})
		}
	}
}

func subscriptions(ctx context.Context, changes *pubsub.TopicEventHandler) {
	for {
		change, err := changes.NextPeerEvent(ctx)
		if err != nil {
			return
		}
		kind := map[pubsub.EventType]string{pubsub.PeerJoin: "subscribed", pubsub.PeerLeave: "unsubscribed"}[change.Type]
		say(event{"event": kind, "peer": change.Peer.String()})
	}
}

func receive(ctx context.Context, messages *pubsub.Subscription, self peer.ID) {
	for {
		message, err := messages.Next(ctx)
		if err != nil {
			return
		}
		if message.GetFrom() != self {
			say(event{
				"event": "message", "from": message.GetFrom().String(), "text": string(message.Data),
				"signed": len(message.Signature) > 0, "by": message.ReceivedFrom.String(),
			})
		}
	}
}

type finder struct {
	host.Host
}

func (f finder) HandlePeerFound(found peer.AddrInfo) {
	if found.ID == f.ID() {
		return
	}
	say(event{"event": "discovered", "peer": found.ID.String(), "addrs": len(found.Addrs)})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.Connect(ctx, found); err != nil {
		say(event{"event": "error", "message": err.Error()})
	}
}
