package router

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/router/topic"
)

// Every record of the state begins with its version. Numbers are uvarints
// unless something else is said, texts have their length before them, times are
// nanoseconds since 1970 in eight bytes, little endian.
//
//	meta          0                   time, when the broker was last known to run
//	meta          1                   day since 1970 8 | bytes written on it, so far 8
//	sessions      session             client id | identity | expiry 8 | time of disconnect 8, 0 = connected
//	wills         session             time due 8, 0 = client connected | delay 8 | expiry 8 | flags | body
//	subscriptions number              session | filter | flags | count, Subscription Identifiers
//	retained      number              flags | in version 2 the user whose quota counts it | body
//	received      session<<16 | id    nothing: a QoS 2 PacketID that waits for PUBREL
//	entries       number              session | message, 0 = PUBREC seen | flight + 1, 0 = waits |
//	                                  flags | group | count, Subscription Identifiers |
//	                                  bytes that the message counts, from version 2 on
//	messages      number              body
//	body          time of expiry 8, 0 = none | identity of the writer | properties | topic | payload, to the end
//
// Entries are numbered in the order in which messages came, so a session's
// entries that wait are in order; those in flight are in order of their flight.
const (
	recordVersion = 1
	entryVersion  = 2
	ownedVersion  = 2 // of a retained message that a quota counts
)

// Tables of the state, the top byte of keys. What has a table from 0x80 up may
// be left on disk by a store that knows how to fetch it.
const (
	tableMeta          = 1
	tableSessions      = 2
	tableWills         = 3
	tableSubscriptions = 4
	tableRetained      = 5
	tableReceived      = 6
	tableEntries       = 7
	tableMessages      = 0x80
)

const (
	tableShift    = 56
	numberMask    = 1<<tableShift - 1
	receivedShift = 16 // session<<receivedShift | PacketID
)

func recordKey(table byte, number uint64) uint64 {
	return uint64(table)<<tableShift | number&numberMask
}

// Numbers in tableMeta.
const (
	metaBeat = 0
	metaWear = 1
)

// Flags of records. The low two bits are the QoS.
const (
	flagQoS     = 3
	flagRetain  = 1 << 2
	flagNoLocal = 1 << 3
	flagRAP     = 1 << 4
)

func flagIf(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

var (
	errRecordShort = errors.New("the record is shorter than it says")
	errRecordNewer = errors.New("the record was written by a newer LoopMQ")
	errRecordWrong = errors.New("the record holds a value that cannot be")
)

type sessionRecord struct {
	id       string
	identity []byte
	expiry   int64
	away     int64
}

func (s *sessionRecord) append(b []byte) []byte {
	b = appendText(append(b, recordVersion), s.id)
	b = appendBytes(b, s.identity)
	b = appendTime(b, s.expiry)
	return appendTime(b, s.away)
}

func (s *sessionRecord) decode(b []byte) error {
	f := fieldsOf(b)
	s.id, s.identity = string(f.bytes()), f.bytes()
	s.expiry, s.away = f.time(), f.time()
	if s.id == "" || s.expiry < 0 {
		f.wrong()
	}
	return f.end()
}

// bodyRecord is what is kept of a message. The slices are views.
type bodyRecord struct {
	expireAt int64 // wall clock
	writer   []byte
	props    []byte
	topic    []byte
	payload  []byte // not written by append: it comes behind
}

func (m *bodyRecord) append(b []byte) []byte {
	b = appendTime(b, m.expireAt)
	b = appendBytes(b, m.writer)
	b = appendBytes(b, m.props)
	return appendBytes(b, m.topic)
}

func (m *bodyRecord) decode(f *fields) {
	m.expireAt = f.time()
	m.writer, m.props, m.topic = f.bytes(), f.bytes(), f.bytes()
	m.payload = f.rest()
	if f.err == nil && (len(m.topic) > 65_535 || topic.ValidateTopic(m.topic) != nil) {
		f.wrong()
	}
}

func decodeMessage(b []byte) (m bodyRecord, err error) {
	f := fieldsOf(b)
	m.decode(&f)
	return m, f.end()
}

type retainedRecord struct {
	qos   byte
	owner string // user whose quota counts it; empty: nobody's
	body  bodyRecord
}

func (m *retainedRecord) append(b []byte) []byte {
	if m.owner == "" {
		return m.body.append(append(b, recordVersion, m.qos))
	}
	return m.body.append(appendText(append(b, ownedVersion, m.qos), m.owner))
}

func (m *retainedRecord) decode(b []byte) error {
	f := fieldsUpTo(ownedVersion, b)
	m.qos, m.owner = f.flags()&flagQoS, ""
	if f.version == ownedVersion {
		m.owner = string(f.bytes())
	}
	m.body.decode(&f)
	return f.end()
}

type willRecord struct {
	due    int64
	delay  int64
	expiry int64 // -1 = none
	qos    byte
	retain bool
	body   bodyRecord
}

func (w *willRecord) append(b []byte) []byte {
	b = appendTime(append(b, recordVersion), w.due)
	b = appendTime(b, w.delay)
	b = appendTime(b, w.expiry)
	return w.body.append(append(b, w.qos|flagIf(w.retain, flagRetain)))
}

func (w *willRecord) decode(b []byte) error {
	f := fieldsOf(b)
	w.due, w.delay, w.expiry = f.time(), f.time(), f.time()
	flags := f.flags()
	w.qos, w.retain = flags&flagQoS, flags&flagRetain != 0
	w.body.decode(&f)
	return f.end()
}

type subscriptionRecord struct {
	session uint64
	filter  []byte
	qos     byte
	noLocal bool
	rap     bool
	ids     []uint32
}

func (s *subscriptionRecord) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), s.session)
	b = appendBytes(b, s.filter)
	b = append(b, s.qos|flagIf(s.noLocal, flagNoLocal)|flagIf(s.rap, flagRAP))
	return appendIDs(b, s.ids)
}

func (s *subscriptionRecord) decode(b []byte) error {
	f := fieldsOf(b)
	s.session, s.filter = f.number(), f.bytes()
	flags := f.flags()
	s.qos, s.noLocal, s.rap = flags&flagQoS, flags&flagNoLocal != 0, flags&flagRAP != 0
	s.ids = f.ids()
	return f.end()
}

// entryRecord is one message for one session.
type entryRecord struct {
	session uint64
	message uint64 // 0: it was given up when PUBREC came
	flight  uint64 // its number in the order of sending, plus 1; 0: it waits
	qos     byte
	retain  bool
	group   []byte
	ids     []uint32
	size    int // of the message; 0 = not known
}

func (e *entryRecord) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, entryVersion), e.session)
	b = binary.AppendUvarint(b, e.message)
	b = binary.AppendUvarint(b, e.flight)
	b = append(b, e.qos|flagIf(e.retain, flagRetain))
	b = appendBytes(b, e.group)
	return binary.AppendUvarint(appendIDs(b, e.ids), uint64(e.size))
}

func (e *entryRecord) decode(b []byte) error {
	f := fieldsUpTo(entryVersion, b)
	e.session, e.message, e.flight = f.number(), f.number(), f.number()
	flags := f.flags()
	e.qos, e.retain = flags&flagQoS, flags&flagRetain != 0
	e.group, e.ids, e.size = f.bytes(), f.ids(), 0
	if f.version > 1 {
		e.size = int(f.number())
	}
	if e.size < 0 || e.size > codec.MaxPacketBytes {
		f.wrong()
	}
	if e.qos == 0 || e.message == 0 && (e.flight == 0 || e.qos != 2) {
		f.wrong()
	}
	return f.end()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(t)) }

func appendIDs(b []byte, ids []uint32) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// fields reads a record. After the first mistake it yields nothing any more.
type fields struct {
	left    []byte
	err     error
	version byte
}

func fieldsOf(b []byte) fields { return fieldsUpTo(recordVersion, b) }

func fieldsUpTo(version byte, b []byte) fields {
	f := fields{left: b} // no pointer: a start has millions of them
	if f.version = f.byte(); f.version > version {
		f.fail(errRecordNewer)
	}
	return f
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err, f.left = err, nil
	}
}

func (f *fields) wrong() { f.fail(errRecordWrong) }

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.left)) {
		f.fail(errRecordShort)
		return nil
	}
	b := f.left[:n:n]
	f.left = f.left[n:]
	return b
}

func (f *fields) byte() byte {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

// flags reads flags with a QoS among them.
func (f *fields) flags() byte {
	b := f.byte()
	if b&flagQoS == flagQoS {
		f.wrong()
	}
	return b
}

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.left)
	if size <= 0 {
		f.fail(errRecordShort)
		return 0
	}
	f.left = f.left[size:]
	return n
}

func (f *fields) time() int64 {
	if b := f.take(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (f *fields) bytes() []byte { return f.take(f.number()) }

func (f *fields) rest() []byte { return f.take(uint64(len(f.left))) }

func (f *fields) ids() (ids []uint32) {
	n := f.number()
	if n > uint64(len(f.left)) { // each has a byte at least
		f.fail(errRecordShort)
		return nil
	}
	for range n {
		ids = append(ids, uint32(f.number()))
	}
	return ids
}

// end is the first mistake; there must be nothing left.
func (f *fields) end() error {
	if f.err == nil && len(f.left) > 0 {
		return fmt.Errorf("%w: %d bytes too many", errRecordWrong, len(f.left))
	}
	return f.err
}

// PayloadOfRecord returns where a payload is in a Store's record; all of it where
// that is not known.
func PayloadOfRecord(key uint64, value []byte) []byte {
	var m bodyRecord
	var err error
	switch byte(key >> tableShift) {
	case tableWills:
		var rec willRecord
		err = rec.decode(value)
		m = rec.body
	case tableRetained:
		var rec retainedRecord
		err = rec.decode(value)
		m = rec.body
	case tableMessages:
		m, err = decodeMessage(value)
	default:
		return nil
	}
	if err != nil {
		return value
	}
	return m.payload
}
