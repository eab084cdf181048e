package mosquittodb_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/loopmq/loopmq/broker/mosquittodb"
)

// db begins a file of a version.
func db(version byte) string {
	return "\x00\xb5\x00mosquitto db\x00\x00\x00\x00\x00\x00\x00" + string([]byte{version})
}

// chunk frames one, of version 5 and 6 with wide types.
func chunk(version, kind byte, parts ...string) string {
	body := strings.Join(parts, "")
	head := "\x00" + string([]byte{kind})
	if version >= 5 {
		head = "\x00\x00" + head
	}
	return head + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

// old is a file of the version 2, 3 or 4.
func old(version byte) string {
	name, left := "", "\x01\x02\x03\x04\x05\x06\x07\x08"
	if version == 4 {
		name = "\x00\x01u\x07\x5b"
	}
	if version == 2 {
		left = ""
	}
	return db(version) +
		chunk(version, 1, "\x01\x08", "\x09\x00\x00\x00\x00\x00\x00\x00") +
		chunk(version, 2, "\x05\x00\x00\x00\x00\x00\x00\x00", "\x00\x01p", name, "\x00\x03\x00\x04", "\x00\x03a/b", "\x01\x01", "\x00\x00\x00\x02hi") +
		chunk(version, 6, "\x00\x01s", "\x00\x07", left) +
		chunk(version, 3, "\x00\x01s", "\x05\x00\x00\x00\x00\x00\x00\x00", "\x00\x07", "\x01\x00\x01\x03\x00") +
		chunk(version, 5, "\x00\x01s", "\x00\x03a/#", "\x02") +
		chunk(version, 4, "\x05\x00\x00\x00\x00\x00\x00\x00")
}

// modern is a file of the version 5 or 6.
func modern(version byte) string {
	client := chunk(version, 6, "\x10\x27\x00\x00\x00\x00\x00\x00", "\x00\x00\x0e\x10", "\x00\x07", "\x00\x01", "s")
	if version == 6 {
		client = chunk(version, 6, "\x10\x27\x00\x00\x00\x00\x00\x00", "\x00\x00\x0e\x10", "\x00\x07", "\x00\x01", "\x07\x5b", "\x00\x01", "\x00\x00\x00\x00", "s", "u")
	}
	return db(version) +
		chunk(version, 1, "\x09\x00\x00\x00\x00\x00\x00\x00", "\x01\x08", "\x00\x00\x00\x00\x00\x00") +
		chunk(version, 2, "\x05\x00\x00\x00\x00\x00\x00\x00", "\x11\x27\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x02", "\x00\x03",
			"\x00\x01", "\x00\x01", "\x00\x03", "\x07\x5b", "\x01\x01", "p", "u", "a/b", "hi", "\x04\x03\x00\x01c") +
		client +
		chunk(version, 3, "\x05\x00\x00\x00\x00\x00\x00\x00", "\x00\x07", "\x00\x01", "\x01\x03\x10\x01", "s", "\x02\x0b\x07") +
		chunk(version, 9, "what is this") +
		chunk(version, 5, "\x00\x00\x00\x07", "\x00\x01", "\x00\x03", "\x02\x0c", "\x00\x00", "s", "a/#") +
		chunk(version, 4, "\x05\x00\x00\x00\x00\x00\x00\x00")
}

func TestEachVersion(t *testing.T) {
	for version := byte(2); version <= 6; version++ {
		text := ""
		want := &mosquittodb.File{
			Version:       int(version),
			Clients:       []mosquittodb.Client{{ID: []byte("s"), Username: []byte{}, ExpiryInterval: 3600, ExpiresAt: 10_000}},
			Subscriptions: []mosquittodb.Subscription{{ClientID: []byte("s"), Filter: []byte("a/#"), QoS: 2}},
			Messages:      []mosquittodb.Message{{ID: 5, SourceID: []byte("p"), Topic: []byte("a/b"), Payload: []byte("hi"), QoS: 1, Retain: true}},
			Retained:      []uint64{5},
			Entries:       []mosquittodb.Entry{{ClientID: []byte("s"), Message: 5, PacketID: 7, QoS: 1, State: 3}},
		}
		if version < 5 {
			text = old(version)
			want.Clients[0] = mosquittodb.Client{ID: []byte("s"), ExpiryInterval: mosquittodb.Forever}
		} else {
			text = modern(version)
			s := &want.Subscriptions[0]
			s.Identifier, s.NoLocal, s.RetainAsPublished = 7, true, true
			want.Messages[0].ExpiresAt, want.Messages[0].Props = 10_001, []byte("\x04\x03\x00\x01c")
			want.Entries[0].Props, want.Entries[0].Retain = []byte("\x02\x0b\x07"), true
			want.Unknown = 1
		}
		if version == 6 {
			want.Clients[0].Username = []byte("u")
		}
		got, err := mosquittodb.Parse([]byte(text))
		if err != nil {
			t.Errorf("version %d: %v", version, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: got\n%+v\nwant\n%+v", version, got, want)
		}
	}
}

// TestWhatIsWrongAndWhere names the byte.
func TestWhatIsWrongAndWhere(t *testing.T) {
	whole := modern(6)
	for want, text := range map[string]string{
		"byte 0: this is no mosquitto.db: it does not begin like one":                  "hello",
		"byte 15: the checksum has 4 bytes, and there are 2 more":                      whole[:17],
		"byte 19: version 7 of the format; 2 to 6 are read":                            db(7),
		"byte 23: a chunk of 16 bytes, and the file has 3 more: it is cut off":         whole[:34],
		"byte 23: a chunk of 4294967288 bytes, and the file has 0 more: it is cut off": db(6) + "\x00\x00\x00\x09\xff\xff\xff\xf8",
		"byte 55: a payload has 4294967295 bytes, and there are 2 more": db(2) + chunk(2, 2, "\x05\x00\x00\x00\x00\x00\x00\x00",
			"\x00\x01p", "\x00\x03\x00\x04", "\x00\x03a/b", "\x01\x01", "\xff\xff\xff\xffhi"),
		"byte 40: identifiers of 4 bytes; only 8 are read":                                db(6) + chunk(6, 1, "\x09\x00\x00\x00\x00\x00\x00\x00", "\x01\x04", "\x00\x00\x00\x00\x00\x00"),
		"byte 31: the identifier of a retained message has 8 bytes, and there are 2 more": db(6) + chunk(6, 4, "\x05\x00"),
		"byte 31: a client identifier has 9 bytes, and there are 1 more":                  db(4) + chunk(4, 6, "\x00\x09s"),
		"byte 39: QoS 3": db(6) + chunk(6, 5, "\x00\x00\x00\x07", "\x00\x01", "\x00\x03", "\x03\x0c", "\x00\x00", "s", "a/#"),
	} {
		_, err := mosquittodb.Parse([]byte(text))
		if e, ok := errors.AsType[*mosquittodb.Error](err); !ok || e.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for n := range whole {
		_, err := mosquittodb.Parse([]byte(whole[:n]))
		if e, ok := errors.AsType[*mosquittodb.Error](err); ok && e.Offset > n {
			t.Errorf("%d bytes: byte %d", n, e.Offset)
		}
	}
}

// FuzzParse: whatever comes, all that is found lies within the file.
func FuzzParse(f *testing.F) {
	for version := byte(2); version <= 6; version++ {
		if version < 5 {
			f.Add([]byte(old(version)))
		} else {
			f.Add([]byte(modern(version)))
		}
	}
	if real, err := os.ReadFile(filepath.Join("testdata", "mosquitto-2.0.11.db")); err == nil {
		f.Add(real)
	} else {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := mosquittodb.Parse(data)
		if err != nil {
			if e, ok := errors.AsType[*mosquittodb.Error](err); !ok || e.Offset < 0 || e.Offset > len(data) {
				t.Errorf("%v", err)
			}
			return
		}
		sum := 0
		for _, m := range file.Messages {
			sum += len(m.Topic) + len(m.Payload) + len(m.Props) + len(m.SourceID)
		}
		for _, e := range file.Entries {
			sum += len(e.ClientID) + len(e.Props)
		}
		for _, s := range file.Subscriptions {
			sum += len(s.ClientID) + len(s.Filter)
		}
		if sum > len(data) {
			t.Errorf("%d bytes out of %d", sum, len(data))
		}
	})
}
