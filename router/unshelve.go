package router

import (
	"errors"
	"slices"
)

// ErrLost is what the error of a StoreValue wraps when the record is damaged or
// not there, and will never be read.
var ErrLost = errors.New("record is lost")

// unshelveMax is how many messages are read at a time.
const unshelveMax = 256

// refill fills the window of s from what waits behind it. True: there is
// something in it again.
func (r *Router) refill(s *Session) bool {
	t := s.onShelf()
	if t == nil {
		return false
	}
	before := s.queue.n
	t.moveUp()
	l := &r.limits
	if t.cold.n > 0 && !t.reading && !t.hungry && s.queue.n <= l.QueuedWindowMax/2 && s.queue.bytes <= l.QueuedWindowBytesMax/2 {
		t.read()
	}
	for t.cold.n == 0 && t.fresh.n > 0 && s.fits(s.queue.n, s.queue.bytes, t.fresh.front().msg.bytes()) {
		s.own()
		s.queue.push(r, t.fresh.pop(r))
	}
	s.clearShelf()
	return before == 0 && s.queue.n > 0
}

// read fetches the next part for the window.
func (t *shelf) read() {
	s := t.s
	n, bytes := s.queue.n, s.queue.bytes
	var list []stub
	here := -t.void
	t.cold.each(func(b stub) bool {
		size := b.size
		if b.stays() {
			if here++; here <= 0 {
				return true
			}
			size = t.here.at(here - 1).msg.bytes()
		}
		if len(list) == unshelveMax || !s.fits(n, bytes, size) {
			return false
		}
		if !b.stays() {
			list = append(list, b)
		}
		n, bytes = n+1, bytes+size
		return true
	})
	if len(list) > 0 { // else there is no place for the next
		t.fetch(list, t.arrived)
	}
}

// fetch reads what the stubs in list stand for. While too many reads wait, t
// is remembered.
func (t *shelf) fetch(list []stub, done func(list []stub, values []StoreValue)) {
	k := t.s.r.keep
	keys := k.keys[:0]
	for _, b := range list {
		keys = append(keys, recordKey(tableMessages, b.message))
		if b.has(stubOrigin) {
			keys = append(keys, recordKey(tableEntries, b.entry))
		}
	}
	k.keys = keys[:0]
	t.reading = k.store.Read(keys, func(values []StoreValue) {
		t.reading = false
		done(list, values)
	})
	if !t.reading && !t.hungry {
		t.hungry = true
		k.hungry = append(k.hungry, t)
	}
}

// feed lets those read for whom there was no room before, as many as there is
// room for now. Once a pass.
func (k *keeper) feed() {
	for len(k.hungry) > 0 {
		t := k.hungry[0]
		k.hungry[0], k.hungry = nil, k.hungry[1:]
		t.hungry = false
		s := t.s
		if t.ended || s.onShelf() != t {
			continue
		}
		k.r.pump(s)
		s.clearShelf()
		if t.hungry {
			return
		}
	}
	k.hungry = nil
}

// arrived puts what was read into the window. Some of it may have been dropped
// meanwhile, and the client may have gone, or have come again.
func (t *shelf) arrived(list []stub, values []StoreValue) {
	s := t.s
	if t.ended || s.onShelf() != t {
		return
	}
	r := s.r
	for _, b := range list {
		mine := values[:b.records()]
		values = values[b.records():]
		if t.moveUp(); t.cold.n == 0 || t.cold.peek() != b {
			continue
		}
		d, err := r.keep.revive(s, b, mine)
		if t.mustReread(err) {
			break
		}
		r.takeCold(t)
		if err != nil {
			r.keep.unwrite(b)
			r.unreadable(s, mine[0].Data, err)
			continue
		}
		s.own()
		s.queue.push(r, d)
		r.stats.Queued++
		r.stats.QueuedBytes += int64(d.msg.bytes())
	}
	s.clearShelf()
	r.pump(s)
}

// mustReread tells whether err, of a read, is none that lasts; then t reads again
// in a while.
func (t *shelf) mustReread(err error) bool {
	if err != nil && !errors.Is(err, ErrLost) {
		t.readLater(err)
		return true
	}
	t.ails = false
	return false
}

// records is how many of them b is made from.
func (b stub) records() int {
	if b.has(stubOrigin) {
		return 2
	}
	return 1
}

// revive makes the delivery again that b stands for. The caller is the holder
// of its message.
func (k *keeper) revive(s *Session, b stub, values []StoreValue) (delivery, error) {
	d := delivery{key: b.entry, qos: b.flags & stubQoS, retain: b.has(stubRetain)}
	for i := range values {
		if values[i].Err != nil {
			return d, values[i].Err
		}
	}
	body, err := decodeMessage(values[0].Data)
	if err != nil {
		return d, errors.Join(ErrLost, err)
	}
	if b.has(stubOrigin) {
		var rec entryRecord
		if err := rec.decode(values[1].Data); err != nil {
			return d, errors.Join(ErrLost, err)
		}
		d.from = k.origin(s, &rec)
	}
	d.msg = k.cloneBody(&body)
	d.msg.key = b.message
	return d, nil
}

// unreadable counts a message that is lost and passed over, and says so.
func (r *Router) unreadable(s *Session, body []byte, err error) {
	k := r.keep
	var topic []byte
	if m, broken := decodeMessage(body); broken == nil { // what is left of it tells that much
		topic = m.topic
	}
	r.drop(s, DropUnreadable, topic)
	k.unreadable++
	r.tellUnread(EventUnreadable, s, string(topic), err, k.unreadable)
}

// tellUnread says that something could not be read, unless it was said often.
func (r *Router) tellUnread(kind EventKind, s *Session, topic string, err error, times int) {
	if worthTelling(uint64(times)) {
		r.event(&Event{Kind: kind, ClientID: s.id, Topic: topic, Err: err, Count: uint64(times)})
	}
}

// cloneBody makes the message of a record. The caller is its first holder.
func (k *keeper) cloneBody(b *bodyRecord) *Message { return k.cloneOwned(b, nil) }

// cloneOwned is cloneBody of a retained message that counts for the quota of owner.
func (k *keeper) cloneOwned(b *bodyRecord, owner *userUse) *Message {
	return k.r.cloneMessage(&publication{
		topic: b.topic, payload: b.payload, props: b.props,
		expireAt: k.instantOf(b.expireAt), writer: k.writerOf(b.writer), owner: owner,
	})
}

// writerOf is whose right to publish is looked at again.
func (k *keeper) writerOf(saved []byte) *Identity {
	if len(saved) == 0 {
		return nil
	}
	id := k.load(saved, "")
	if id == nil || id.Access == nil {
		return nil
	}
	k.r.guard(id)
	return id
}

// origin is what a delivery owes to its subscription, that of today if it is
// the same.
func (k *keeper) origin(s *Session, e *entryRecord) *origin {
	if len(e.ids) == 0 && len(e.group) == 0 {
		return nil
	}
	if sub := s.subs.find(e.group); sub != nil && len(e.group) > 0 && slices.Equal(sub.opts.ids, e.ids) {
		return sub.origin()
	}
	o := &origin{ids: e.ids, own: true}
	if len(e.group) > 0 {
		if o.group = k.r.shares[string(e.group)]; o.group == nil { // it may come again
			o.group = &shareGroup{key: string(e.group)}
		}
	}
	return o
}
