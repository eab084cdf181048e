package codec_test

import (
	"bytes"
	"testing"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/testkit"
)

// FuzzNext: whatever bytes come, nothing panics, every packet makes progress,
// and what decodes says the same when it is encoded and decoded again.
func FuzzNext(f *testing.F) {
	for _, v := range vectors {
		f.Add(testkit.Bytes(v.wire), byte(v.version))
	}
	f.Add([]byte{0xc0, 0, 0xc0, 0, 0x30}, byte(4))
	f.Fuzz(func(t *testing.T, view []byte, version byte) {
		v := codec.Version(version%3 + 3)
		before := bytes.Clone(view)
		for rest := view; ; {
			k, n, err := codec.Next(rest, 1<<20)
			if n < 0 || n > len(rest) || err != nil && n != 0 && n <= 1<<20 {
				t.Fatalf("n=%d err=%v of %d bytes", n, err, len(rest))
			}
			if err != nil || n == 0 {
				break
			}
			roundTrip(t, &k, v)
			rest = rest[n:]
		}
		if !bytes.Equal(view, before) {
			t.Fatal("decoding wrote into the view")
		}
	})
}

// FuzzProperties puts a block of properties into a PUBLISH and a CONNECT.
func FuzzProperties(f *testing.F) {
	for _, block := range []string{
		"", "01 01", "02 0000003c", "0b 80 01", "23 0001", "26 0001 61 0001 62 01 00 26 0000 0000",
		"11 ffffffff 21 0001 22 ffff 27 00000001 17 00", "15 0001 61 16 0001 00",
	} {
		f.Add(testkit.Bytes(block))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) > 100 {
			return
		}
		for _, wire := range [][]byte{
			frame(0x30, "0001 61", block, "78"),
			frame(0x10, "00044d515454 05 02 0000", block, "0000"),
		} {
			k, n, err := codec.Next(wire, 1<<20)
			if err != nil || n != len(wire) {
				t.Fatalf("%d, %v", n, err)
			}
			roundTrip(t, &k, codec.V5)
		}
	})
}

func roundTrip(t *testing.T, k *codec.Packet, v codec.Version) {
	text, back, err := said(k, v)
	if err != nil {
		return
	}
	again, n, err := codec.Next(back, codec.MaxPacketBytes)
	if err != nil || n != len(back) {
		t.Fatalf("%s encoded to %x, which does not frame: %v", text, back, err)
	}
	if second, _, err := said(&again, v); err != nil || second != text {
		t.Fatalf("encoded again it says\n got %s, %v\nwant %s", second, err, text)
	}
}
