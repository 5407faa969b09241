package main

import (
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const (
	name  = protocol.ID("/bench/1")
	chunk = 64 << 10
)

type node struct {
	host.Host
}

// A server listens and serves every stream; a client, without serve, does neither.
func start(transport string, serve func(network.Stream), idle bool) node {
	options := []libp2p.Option{
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(must(connmgr.NewConnManager(16384, 32768))),
		libp2p.Ping(idle),
	}
	on := "/ip4/127.0.0.1/tcp/0"
	switch transport {
	case "tcp-noise":
		options = append(options, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New))
	case "tcp-tls":
		options = append(options, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New))
	case "quic":
		options = append(options, libp2p.Transport(quic.NewTransport))
		on = "/ip4/127.0.0.1/udp/0/quic-v1"
	}
	if serve != nil {
		options = append(options, libp2p.ListenAddrStrings(on))
	} else {
		options = append(options, libp2p.NoListenAddrs)
	}
	made := must(libp2p.New(options...))
	if serve != nil {
		made.SetStreamHandler(name, serve)
	}
	return node{made}
}

func (n node) info() peer.AddrInfo {
	return peer.AddrInfo{ID: n.ID(), Addrs: n.Addrs()}
}

func (n node) address() string {
	all := must(peer.AddrInfoToP2pAddrs(host.InfoFromHost(n.Host)))
	return all[0].String()
}

func (n node) dial(to peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return n.Connect(ctx, to)
}

func (n node) open(to peer.ID) (network.Stream, error) {
	return n.NewStream(context.Background(), to, name)
}

// A client and the server it is connected to.
func connected(a arguments) (node, peer.ID) {
	n := start(a.transport(), nil, false)
	to := must(peer.AddrInfoFromString(a.to()))
	check(n.dial(*to))
	return n, to.ID
}

func echo(s network.Stream) {
	buf := make([]byte, 2048)
	for {
		read, err := s.Read(buf)
		if read > 0 {
			if _, err := s.Write(buf[:read]); err != nil {
				_ = s.Reset()
				return
			}
			if read == len(buf) && len(buf) < chunk {
				buf = make([]byte, chunk)
			}
		}
		if err != nil {
			_ = s.Close()
			return
		}
	}
}

// Reads to the end, then says how many bytes there were.
func sink(s network.Stream) {
	sum := drain(s)
	_ = binary.Write(s, binary.BigEndian, sum)
	_ = s.Close()
}

func drain(s io.Reader) uint64 {
	buf := make([]byte, chunk)
	var sum uint64
	for {
		read, err := s.Read(buf)
		sum += uint64(read)
		if err != nil {
			return sum
		}
	}
}

// Reads how many bytes and milliseconds, and sends until either is reached.
func source(s network.Stream) {
	var wanted struct{ Bytes, Millis uint64 }
	if binary.Read(s, binary.BigEndian, &wanted) == nil {
		_, _ = send(s, wanted.Bytes, time.Duration(wanted.Millis)*time.Millisecond)
	}
	_ = s.Close()
}

func send(s io.Writer, bytes uint64, limit time.Duration) (uint64, error) {
	buf := make([]byte, chunk)
	until := time.Now().Add(limit)
	var sent uint64
	for sent < bytes && time.Now().Before(until) {
		part := min(uint64(chunk), bytes-sent)
		if _, err := s.Write(buf[:part]); err != nil {
			return sent, err
		}
		sent += part
	}
	return sent, nil
}

// Reads to the end, then answers with the same bytes.
func answer(s network.Stream) {
	body, err := io.ReadAll(io.LimitReader(s, 1<<20))
	if err != nil {
		_ = s.Reset()
		return
	}
	_, _ = s.Write(body)
	_ = s.Close()
}
