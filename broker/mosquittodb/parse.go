package mosquittodb

import (
	"encoding/binary"
	"fmt"
)

const magic = "\x00\xb5\x00mosquitto db"

// The versions that are read.
const (
	versionMin = 2
	versionMax = 6
)

// Types of chunks.
const (
	chunkConfig       = 1
	chunkMessage      = 2
	chunkEntry        = 3
	chunkRetained     = 4
	chunkSubscription = 5
	chunkClient       = 6
)

// idBytes is the size of a message's identifier.
const idBytes = 8

// Parse reads a whole file. An error is an *Error.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data, end: len(data)}
	if len(data) < len(magic) || string(data[:len(magic)]) != magic {
		return nil, &Error{0, "this is no mosquitto.db: it does not begin like one"}
	}
	r.at = len(magic)
	r.take(4, "the checksum") // Mosquitto writes 0 and never looks
	at := r.at
	f := &File{Version: int(r.u32("the version"))}
	if r.err == nil && (f.Version < versionMin || f.Version > versionMax) {
		return nil, &Error{at, fmt.Sprintf("version %d of the format; %d to %d are read", f.Version, versionMin, versionMax)}
	}
	for r.err == nil && r.at < len(data) {
		r.chunk(f)
	}
	if r.err != nil {
		return nil, r.err
	}
	return f, nil
}

// chunk reads one chunk.
func (r *reader) chunk(f *File) {
	modern := f.Version >= 5
	start, kind := r.at, uint32(0)
	if modern {
		kind = r.u32("the type of a chunk")
	} else {
		kind = uint32(r.u16("the type of a chunk"))
	}
	size := r.u32("the length of a chunk")
	if r.err != nil {
		return
	}
	if uint64(size) > uint64(len(r.data)-r.at) {
		r.fail(start, fmt.Sprintf("a chunk of %d bytes, and the file has %d more: it is cut off", size, len(r.data)-r.at))
		return
	}
	r.end = r.at + int(size)
	switch kind {
	case chunkConfig:
		r.config(modern)
	case chunkMessage:
		f.Messages = append(f.Messages, r.message(f.Version))
	case chunkEntry:
		f.Entries = append(f.Entries, r.entry(modern))
	case chunkRetained:
		f.Retained = append(f.Retained, r.number("the identifier of a retained message"))
	case chunkSubscription:
		f.Subscriptions = append(f.Subscriptions, r.subscription(modern))
	case chunkClient:
		f.Clients = append(f.Clients, r.client(f.Version))
	default:
		f.Unknown++
	}
	if r.err == nil {
		r.at, r.end = r.end, len(r.data) // what a chunk has beyond what is known is passed over
	}
}

func (r *reader) config(modern bool) {
	if modern {
		r.take(idBytes, "the last identifier")
	}
	r.byte("the mark of a clean stop")
	at := r.at
	if n := r.byte("the size of identifiers"); r.err == nil && n != idBytes {
		r.fail(at, fmt.Sprintf("identifiers of %d bytes; only %d are read", n, idBytes))
	}
}

func (r *reader) client(version int) (c Client) {
	if version < 5 {
		c.ID = r.text("a client identifier")
		c.ExpiryInterval = Forever
		return c
	}
	c.ExpiresAt = int64(r.number("the time of expiry"))
	c.ExpiryInterval = r.u32("the expiry interval")
	r.u16("the last PacketID")
	idLen, nameLen := r.u16("the length of a client identifier"), uint16(0)
	if version >= 6 {
		r.u16("the port of a listener")
		nameLen = r.u16("the length of a user name")
		r.take(4, "the gap behind a client")
	}
	c.ID = r.take(uint32(idLen), "a client identifier")
	c.Username = r.take(uint32(nameLen), "a user name")
	return c
}

func (r *reader) subscription(modern bool) (s Subscription) {
	if !modern {
		s.ClientID, s.Filter, s.QoS = r.text("a client identifier"), r.text("a filter"), r.qos()
		return s
	}
	s.Identifier = r.u32("a subscription identifier")
	idLen, filterLen := r.u16("the length of a client identifier"), r.u16("the length of a filter")
	s.QoS = r.qos()
	options := r.byte("the options of a subscription")
	s.NoLocal, s.RetainAsPublished = options&4 != 0, options&8 != 0
	r.take(2, "the gap behind a subscription")
	s.ClientID = r.take(uint32(idLen), "a client identifier")
	s.Filter = r.take(uint32(filterLen), "a filter")
	return s
}

func (r *reader) message(version int) (m Message) {
	m.ID = r.number("the identifier of a message")
	if version < 5 {
		m.SourceID = r.text("a client identifier")
		if version == 4 {
			r.text("a user name")
			r.u16("the port of a listener")
		}
		r.u16("the PacketID of the publisher")
		r.u16("a PacketID")
		m.Topic = r.text("a topic")
		m.QoS, m.Retain = r.qos(), r.byte("the mark of a retained message") != 0
		m.Payload = r.take(r.u32("the length of a payload"), "a payload")
		return m
	}
	m.ExpiresAt = int64(r.number("the time of expiry"))
	size := r.u32("the length of a payload")
	r.u16("the PacketID of the publisher")
	idLen, nameLen, topicLen := r.u16("the length of a client identifier"), r.u16("the length of a user name"), r.u16("the length of a topic")
	r.u16("the port of a listener")
	m.QoS, m.Retain = r.qos(), r.byte("the mark of a retained message") != 0
	m.SourceID = r.take(uint32(idLen), "a client identifier")
	r.take(uint32(nameLen), "a user name")
	m.Topic = r.take(uint32(topicLen), "a topic")
	m.Payload = r.take(size, "a payload")
	m.Props = r.rest()
	return m
}

func (r *reader) entry(modern bool) (e Entry) {
	if !modern {
		e.ClientID = r.text("a client identifier")
		e.Message = r.number("the identifier of a message")
		e.PacketID = r.u16("a PacketID")
		e.QoS, e.Retain = r.qos(), r.byte("the mark of a retained message") != 0
		e.FromClient = r.byte("the direction") == 0
		e.State = State(r.byte("the state of a message"))
		r.byte("the mark of a repeat")
		return e
	}
	e.Message = r.number("the identifier of a message")
	e.PacketID = r.u16("a PacketID")
	idLen := r.u16("the length of a client identifier")
	e.QoS = r.qos()
	e.State = State(r.byte("the state of a message"))
	e.Retain = r.byte("the mark of a retained message")&0xf0 != 0
	e.FromClient = r.byte("the direction") == 0
	e.ClientID = r.take(uint32(idLen), "a client identifier")
	e.Props = r.rest()
	return e
}

// reader takes fields one by one. After the first mistake it yields zeros.
type reader struct {
	data []byte
	at   int
	end  int // of the chunk
	err  error
}

func (r *reader) fail(at int, what string) {
	if r.err == nil {
		r.err = &Error{at, what}
	}
}

func (r *reader) take(size uint32, what string) []byte {
	n := int(size)
	if r.err == nil && uint64(size) > uint64(r.end-r.at) {
		r.fail(r.at, fmt.Sprintf("%s has %d bytes, and there are %d more", what, size, r.end-r.at))
	}
	if r.err != nil {
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at : r.at]
}

func (r *reader) rest() []byte {
	if r.err != nil || r.at == r.end {
		return nil
	}
	return r.take(uint32(r.end-r.at), "what is left")
}

func (r *reader) byte(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) qos() byte {
	at := r.at
	q := r.byte("a QoS")
	if q > 2 {
		r.fail(at, fmt.Sprintf("QoS %d", q))
	}
	return q
}

func (r *reader) u16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// number is one that stands as the machine has it.
func (r *reader) number(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text has its length in front.
func (r *reader) text(what string) []byte { return r.take(uint32(r.u16("the length of "+what)), what) }
