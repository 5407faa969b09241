package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	quicgo "github.com/quic-go/quic-go"
)

// As libp2p.New gives it, without relays, on TCP and QUIC. A security, if one is named, is the only one it speaks;
// else it offers TLS first, which is go-libp2p's own order.
func start(listen, security string) host.Host {
	options := []libp2p.Option{
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.UserAgent("go-peer/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(quic.NewTransport),
	}
	if security != "noise" {
		options = append(options, libp2p.Security(libp2ptls.ID, newObserved))
	}
	if security != "tls" {
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	if listen == "" {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(listen))
	}
	return must(libp2p.New(options...))
}

// Every address of ours, with our id.
func addresses(h host.Host) []string {
	var all []string
	for _, address := range must(peer.AddrInfoToP2pAddrs(host.InfoFromHost(h))) {
		all = append(all, address.String())
	}
	return all
}

func dial(h host.Host, address string) peer.ID {
	to := must(peer.AddrInfoFromString(address))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(h.Connect(ctx, *to))
	return to.ID
}

// go-libp2p's TLS, which notes the cipher suite: its connections do not tell it further up.
type observed struct {
	*libp2ptls.Transport
}

var suites sync.Map // peer.ID to string

func newObserved(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*observed, error) {
	inner, err := libp2ptls.New(id, key, muxers)
	return &observed{inner}, err
}

func (o *observed) SecureInbound(ctx context.Context, raw net.Conn, p peer.ID) (sec.SecureConn, error) {
	return note(o.Transport.SecureInbound(ctx, raw, p))
}

func (o *observed) SecureOutbound(ctx context.Context, raw net.Conn, p peer.ID) (sec.SecureConn, error) {
	return note(o.Transport.SecureOutbound(ctx, raw, p))
}

func note(conn sec.SecureConn, err error) (sec.SecureConn, error) {
	if err != nil {
		return nil, err
	}
	if of, can := conn.(interface{ ConnectionState() tls.ConnectionState }); can {
		suites.Store(conn.RemotePeer(), tls.CipherSuiteName(of.ConnectionState().CipherSuite))
	}
	return conn, nil
}

// The cipher suite of a connection; empty for Noise, which has one only.
func suite(conn network.Conn) string {
	var over *quicgo.Conn
	if conn.As(&over) {
		return tls.CipherSuiteName(over.ConnectionState().TLS.CipherSuite)
	}
	if conn.ConnState().Security == libp2ptls.ID {
		if name, known := suites.Load(conn.RemotePeer()); known {
			return name.(string)
		}
	}
	return ""
}
