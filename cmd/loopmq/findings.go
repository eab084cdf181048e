package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// latency is the time from PUBLISH sent to the same message received, over
// several round trips, one after the other.
type latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

// measure makes the round trips, and stops early on a slow way.
func (k *checker) measure(ctx context.Context, cl *client.Client) error {
	var took []time.Duration
	deadline, _ := ctx.Deadline()
	until := time.Now().Add(time.Until(deadline) / 2)
	for i := 0; i < k.rounds && time.Now().Before(until); i++ {
		payload := fmt.Sprintf("%s %d", k.payload, i)
		began := time.Now()
		if err := cl.Publish(ctx, &client.Message{Topic: k.topic, Payload: []byte(payload), QoS: k.qos}); err != nil {
			return err
		}
		at, err := k.wait(ctx, cl, payload)
		if err != nil {
			return err
		}
		took = append(took, at.Sub(began))
	}
	k.began = time.Now()
	if len(took) == 0 {
		return nil
	}
	sort.Slice(took, func(i, j int) bool { return cmp.Less(took[i], took[j]) })
	l := &latency{Count: len(took), P50: quantile(took, 0.5), P99: quantile(took, 0.99), Max: millis(took[len(took)-1])}
	k.report.Latency = l
	k.say("%-11s %9.3f ms  p50 of %d round trips; p99 %.3f ms, longest %.3f ms", "latency", l.P50, l.Count, l.P99, l.Max)
	return nil
}

// quantile is the smallest that q of all do not exceed, in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	return millis(sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)])
}

// tlsReport is what was agreed on with a server behind TLS.
type tlsReport struct {
	Version  string        `json:"version"`
	Cipher   string        `json:"cipher"`
	ALPN     string        `json:"alpn,omitempty"`
	Verified bool          `json:"verified"` // false: --insecure
	Chain    []certificate `json:"chain"`
}

// certificate is one of the server's chain, its own first.
type certificate struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"not_after"`
	Days     int       `json:"days"` // until then, whole ones
}

// secured notes what the TLS handshake told.
func (k *checker) secured(s tls.ConnectionState) {
	r := &tlsReport{
		Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite), ALPN: s.NegotiatedProtocol,
		Verified: len(s.VerifiedChains) > 0,
	}
	detail := r.Version + ", " + r.Cipher
	if r.ALPN != "" {
		detail += ", ALPN " + r.ALPN
	}
	chain := s.PeerCertificates
	if r.Verified {
		chain = s.VerifiedChains[0]
	} else {
		detail += ", not verified"
	}
	k.step("tls", detail)
	for _, c := range chain {
		r.Chain = append(r.Chain, describe(c))
		last := &r.Chain[len(r.Chain)-1]
		k.say("  certificate %s, signed by %s, until %s (%d days)", last.Subject, last.Issuer, last.NotAfter.Format(time.DateOnly), last.Days)
	}
	k.report.TLS = r
}

func describe(c *x509.Certificate) certificate {
	days := int(math.Floor(time.Until(c.NotAfter).Hours() / 24))
	return certificate{c.Subject.String(), c.Issuer.String(), c.NotAfter.UTC(), days}
}

// capabilities are what a CONNACK of 5.0 says of the server; what it leaves
// out has the value that the standard gives it then.
type capabilities struct {
	MaximumQoS        byte    `json:"maximum_qos"`
	Retain            bool    `json:"retain"`
	Wildcards         bool    `json:"wildcard_subscriptions"`
	Shared            bool    `json:"shared_subscriptions"`
	SubscriptionIDs   bool    `json:"subscription_identifiers"`
	ReceiveMaximum    int     `json:"receive_maximum"`
	PacketBytesMax    *uint32 `json:"maximum_packet_bytes"` // nil: what MQTT allows
	TopicAliasMaximum int     `json:"topic_alias_maximum"`
	KeepAliveSeconds  *uint16 `json:"server_keep_alive_seconds"` // nil: the client's own
	SessionSeconds    *uint32 `json:"session_expiry_seconds"`    // nil: the client's own
	ClientID          string  `json:"assigned_client_identifier,omitempty"`
}

// offered notes what CONNACK says.
func (k *checker) offered(cl *client.Client) {
	if k.conn.Version != codec.V5 {
		return
	}
	k.report.Capabilities = readCapabilities(cl.Connack())
	k.sayCapabilities(k.report.Capabilities)
}

func readCapabilities(a *codec.Connack) *capabilities {
	p := &a.Props
	byteOr := func(id codec.PropertyID, value, otherwise byte) byte {
		if p.Has.Has(id) {
			return value
		}
		return otherwise
	}
	r := &capabilities{
		MaximumQoS:      byteOr(codec.PropMaximumQoS, p.MaximumQoS, 2),
		Retain:          byteOr(codec.PropRetainAvailable, p.RetainAvailable, 1) != 0,
		Wildcards:       byteOr(codec.PropWildcardAvailable, p.WildcardAvailable, 1) != 0,
		Shared:          byteOr(codec.PropSharedAvailable, p.SharedAvailable, 1) != 0,
		SubscriptionIDs: byteOr(codec.PropSubscriptionIDAvailable, p.SubscriptionIDAvailable, 1) != 0,
		ReceiveMaximum:  65535, TopicAliasMaximum: int(p.TopicAliasMaximum), ClientID: string(p.AssignedClientID),
	}
	if p.Has.Has(codec.PropReceiveMaximum) {
		r.ReceiveMaximum = int(p.ReceiveMaximum)
	}
	if p.Has.Has(codec.PropMaximumPacket) {
		r.PacketBytesMax = &p.MaximumPacketBytes
	}
	if p.Has.Has(codec.PropServerKeepAlive) {
		r.KeepAliveSeconds = &p.ServerKeepAliveSeconds
	}
	if p.Has.Has(codec.PropSessionExpiry) {
		r.SessionSeconds = &p.SessionExpirySeconds
	}
	return r
}

func (k *checker) sayCapabilities(r *capabilities) {
	offers := []string{fmt.Sprintf("QoS %d", r.MaximumQoS)}
	for _, o := range []struct {
		name string
		is   bool
	}{
		{"retained messages", r.Retain},
		{"wildcards", r.Wildcards},
		{"shared subscriptions", r.Shared},
		{"subscription identifiers", r.SubscriptionIDs},
	} {
		if !o.is {
			o.name = "no " + o.name
		}
		offers = append(offers, o.name)
	}
	k.say("  offers      %s", strings.Join(offers, ", "))
	size := "any size"
	if r.PacketBytesMax != nil {
		size = fmt.Sprintf("%d bytes", *r.PacketBytesMax)
	}
	limits := fmt.Sprintf("packets of %s, %d messages in flight, %d topic aliases", size, r.ReceiveMaximum, r.TopicAliasMaximum)
	if r.KeepAliveSeconds != nil {
		limits += fmt.Sprintf(", keep alive %d s", *r.KeepAliveSeconds)
	}
	if r.SessionSeconds != nil {
		limits += fmt.Sprintf(", session expiry %d s", *r.SessionSeconds)
	}
	k.say("  limits      %s", limits)
}
