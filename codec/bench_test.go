package codec_test

import (
	"testing"

	"github.com/loopmq/loopmq/codec"
)

// hot are the functions that run once a message.
func hot(t testing.TB) map[string]func() {
	p := codec.Publish{Topic: []byte("sensors/7/temperature"), Payload: make([]byte, 64), QoS: 1, PacketID: 9}
	v3 := codec.AppendPublish(nil, codec.V311, &p)
	p.Props.Has = p.Props.Has.Add(codec.PropMessageExpiry).Add(codec.PropUser).Add(codec.PropContentType)
	p.Props.User = codec.AppendUser(codec.AppendUser(nil, "a", "1"), "b", "2")
	p.Props.ContentType = []byte("text/plain")
	v5 := codec.AppendPublish(nil, codec.V5, &p)
	ack := codec.AppendAckID(nil, codec.TypePuback, 7)
	dst := make([]byte, 0, 4096)
	var in codec.Publish
	var a codec.Ack
	decode := func(wire []byte, v codec.Version) func() {
		return func() {
			k, _, err := codec.Next(wire, 1<<20)
			if err == nil {
				err = in.Decode(&k, v)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	out := codec.Publish{Topic: p.Topic, Payload: p.Payload, QoS: 1, PacketID: 9}
	return map[string]func(){
		"frame": func() {
			if _, n, err := codec.Next(v3, 1<<20); n != len(v3) || err != nil {
				t.Fatal(n, err)
			}
		},
		"decode PUBLISH 3.1.1": decode(v3, codec.V311),
		"decode PUBLISH 5.0":   decode(v5, codec.V5),
		"encode PUBLISH 3.1.1": func() { codec.AppendPublish(dst, codec.V311, &out) },
		"encode PUBLISH 5.0":   func() { codec.AppendPublish(dst, codec.V5, &p) },
		"forward properties":   func() { p.Props.AppendForwarded(dst) },
		"PublishPacketID":      func() { codec.PublishPacketIDOffset(v3) },
		"encode PUBACK":        func() { codec.AppendAckID(dst, codec.TypePuback, 7) },
		"decode PUBACK": func() {
			k, _, _ := codec.Next(ack, 1<<20)
			if err := a.Decode(&k, codec.V311); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	for name, f := range hot(t) {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	for name, f := range hot(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
