package router

// keeper writes down what must outlive the process: sessions that outlive
// their connection and what they hold, and retained messages. There is none
// without Config.Store, and sessions that end with their connection have
// nothing to do with it: kept is nil then.
//
// What is written goes into the open batch of the store (commit.go).
type keeper struct {
	r     *Router
	store Store
	wall  func() int64
	now   int64 // wall clock of the pass, in ns since 1970

	save func(*Identity) []byte
	load func(saved []byte, clientID string) *Identity

	// The last numbers given.
	sessions, subscriptions, retained, entries, messages uint64

	// Sessions up to these numbers are durable, or in the batch that is being
	// committed.
	lasting, enlisted uint64

	named counts // entries of each message

	classes classes
	wear    wear
	dirty   []dirtyRetained // came with QoS 0 and wait for a batch
	lazy    []dirtyRetained // of class lazy: the last of a row is written when a batch leaves
	scratch []byte

	// What waits on disk only, see shelf.go.
	durable    uint64            // entries up to it are durable
	sealed     uint64            // and up to it those of the batch that is being committed
	shelfBytes int64             // memory that stubs take
	keys       []uint64          // scratch of reads
	hungry     []*shelf          // could not read, because too many did
	again      rereads           // could not read, because the disk did not
	unreadable int               // messages that could not be read
	estates    []*shelf          // of sessions that have ended
	estateDone int               // messages of estates in the open batch
	ended      map[string]uint64 // batches with the ends of sessions that are not durable, by client identifier

	batches
}

// kept is what a session has that is written down.
type kept struct {
	number  uint64
	sealing uint64 // flights below it are in the batch that is being committed, or before
	settled uint64 // flights below it are durable
	release uint64 // lot that holds the last "PUBREC seen"
	listed  uint64 // lot whose list it is on
	will    bool   // there is a record of a will
	shelf   *shelf // what waits behind the window; nil: nothing does

	unwritten *packetSet // QoS 2 PacketIDs received with messages that are not of class sync
}

func newKeeper(r *Router, cfg *Config) *keeper {
	if cfg.Store == nil {
		return nil
	}
	if cfg.Wall == nil {
		panic("router: Config.Wall is required with a Store")
	}
	k := &keeper{r: r, store: cfg.Store, wall: cfg.Wall, save: cfg.SaveIdentity, load: cfg.LoadIdentity}
	k.wear.written = cfg.Written
	k.change(cfg)
	if k.save == nil {
		k.save = func(id *Identity) []byte { return []byte(userOf(id)) }
	}
	if k.load == nil {
		k.load = func(saved []byte, _ string) *Identity {
			if len(saved) == 0 {
				return nil
			}
			return &Identity{User: string(saved)}
		}
	}
	k.open, k.lots, k.named, k.again.k, k.ended = 1, []*lot{{}}, newCounts(), k, map[string]uint64{}
	return k
}

// put adds the record that was made in scratch. body comes behind it.
func (k *keeper) put(key uint64, record, body []byte, u urgency) {
	k.scratch = record[:0]
	if k.failed {
		return
	}
	k.store.Put(key, record, body)
	k.changed(u, len(record)+len(body))
}

// putMessage is put with the payload of m, of which it does not need a copy.
func (k *keeper) putMessage(key uint64, record []byte, m *Message, u urgency) {
	if m.large == nil || k.failed {
		k.put(key, record, m.Payload(), u)
		return
	}
	k.scratch = record[:0]
	k.store.PutShared(key, record, m.large.Retain())
	k.changed(u, len(record)+len(m.Payload()))
}

func (k *keeper) delete(key uint64, u urgency) {
	if k.failed {
		return
	}
	if k.store.Delete(key) || u != later {
		k.changed(u, 0)
	}
}

// wallOf is an instant of the monotonic clock in wall time; 0 stays 0.
func (k *keeper) wallOf(at int64) int64 {
	if at == 0 {
		return 0
	}
	return k.now + (at - k.r.now)
}

// instantOf is the opposite, never 0 or less but for 0.
func (k *keeper) instantOf(wall int64) int64 {
	if wall == 0 {
		return 0
	}
	if wall-k.now > 0 {
		return k.r.after(wall - k.now)
	}
	return max(1, k.r.now+(wall-k.now))
}

// keepConnect writes down a session that got its connection, if it outlives
// it, and lets the connection be silent until that is durable.
//
// mark is where the records began that this CONNECT has caused.
func (c *Client) keepConnect(s *Session, mark uint64) {
	k := c.r.keep
	if k == nil {
		return
	}
	if s.kept == nil && s.expiry > 0 {
		k.sessions++
		s.kept = &kept{number: k.sessions}
	}
	if s.kept != nil {
		k.putSession(s, 0)
		switch w := c.will; {
		case w != nil:
			k.putWill(s, w, 0)
		case s.kept.will:
			k.deleteWill(s)
		}
		k.startBeat()
	}
	if k.owesEnd(s.id) || k.needs != mark && k.accepts() == nil {
		c.await()
		c.hush()
	}
}

// putSession writes s down. away is when it lost its connection; 0: it has one.
func (k *keeper) putSession(s *Session, away int64) {
	rec := sessionRecord{id: s.id, identity: k.save(s.identity), expiry: s.expiry, away: away}
	k.put(recordKey(tableSessions, s.kept.number), rec.append(k.scratch[:0]), nil, promised)
}

// keepAway notes that s lost its connection.
func (r *Router) keepAway(s *Session) {
	if s.kept != nil {
		r.keep.putSession(s, r.keep.now)
	}
}

// keepEnd takes away what is left of a session that has ended; its
// subscriptions, entries and will are gone already.
func (r *Router) keepEnd(s *Session) {
	if s.kept == nil {
		return
	}
	k, n := r.keep, s.kept.number
	if s.kept.will {
		k.deleteWill(s)
	}
	k.delete(recordKey(tableSessions, n), promised)
	k.ended[s.id] = k.open
	if s.received != nil && !k.failed {
		k.store.DeleteRange(recordKey(tableReceived, n<<receivedShift), recordKey(tableReceived, n<<receivedShift|0xffff))
		k.changed(promised, 0)
	}
	r.memory.sets -= s.kept.unwritten.memory()
	s.kept = nil
}

func (k *keeper) putWill(s *Session, w *will, due int64) {
	class := k.class(w.msg)
	if class == DurabilityNone {
		if s.kept.will {
			k.deleteWill(s)
		}
		return
	}
	rec := willRecord{due: due, delay: w.delay, expiry: w.expiry, qos: w.qos, retain: w.retain, body: k.body(w.msg)}
	rec.body.writer = k.writer(w.writer)
	k.put(recordKey(tableWills, s.kept.number), rec.append(k.scratch[:0]), w.msg.Payload(), urgencyOf(class))
	s.kept.will = true
}

func (k *keeper) deleteWill(s *Session) {
	k.delete(recordKey(tableWills, s.kept.number), promised)
	s.kept.will = false
}

// keepNoWill takes the record of a will away that is published now, or never.
func (r *Router) keepNoWill(s *Session) {
	if s != nil && s.kept != nil && s.kept.will {
		r.keep.deleteWill(s)
	}
}

// keepWill notes when the will of a session is due.
func (r *Router) keepWill(s *Session, w *will) {
	if s.kept != nil {
		r.keep.putWill(s, w, r.keep.now+w.delay)
	}
}

// body is the record of m without its payload.
func (k *keeper) body(m *Message) bodyRecord {
	return bodyRecord{expireAt: k.wallOf(m.expireAt()), writer: k.writer(m.writer()), props: m.props(), topic: m.Topic()}
}

func (k *keeper) writer(id *Identity) []byte {
	if id == nil {
		return nil
	}
	return k.save(id)
}

// keepSubscription writes down a filter that was entered or changed.
func (r *Router) keepSubscription(sub *Subscription) {
	s := sub.session
	if s.kept == nil {
		return
	}
	k := r.keep
	if sub.key == 0 {
		k.subscriptions++
		sub.key = k.subscriptions
	}
	rec := subscriptionRecord{session: s.kept.number, filter: []byte(sub.filter), qos: sub.qos}
	if o := sub.opts; o != nil {
		rec.noLocal, rec.rap, rec.ids = o.noLocal, o.rap, o.ids
	}
	k.put(recordKey(tableSubscriptions, sub.key), rec.append(k.scratch[:0]), nil, promised)
}

// dropSubscription takes a filter away again.
func (r *Router) dropSubscription(sub *Subscription) {
	if sub.key != 0 {
		r.keep.delete(recordKey(tableSubscriptions, sub.key), promised)
	}
}

// keepReceived notes a QoS 2 PacketID until its PUBREL. One of a message that
// may be lost is not written: it would have to go again before PUBCOMP.
func (s *Session) keepReceived(id uint16, class Durability) {
	switch {
	case s.kept == nil:
	case class == DurabilitySync:
		s.r.keep.put(receivedKey(s, id), append(s.r.keep.scratch[:0], recordVersion), nil, promised)
	default:
		s.kept.unwritten = s.r.addTo(s.kept.unwritten, id)
	}
}

// unwritten tells whether id was received with a message that may be lost.
func (s *Session) unwritten(id uint16) bool {
	return s.kept != nil && s.kept.unwritten != nil && s.kept.unwritten.has(id)
}

func (s *Session) dropReceived(id uint16) {
	if s.kept == nil || s.kept.unwritten != nil && s.kept.unwritten.remove(id) {
		return
	}
	s.r.keep.delete(receivedKey(s, id), promised)
}

func receivedKey(s *Session, id uint16) uint64 {
	return recordKey(tableReceived, s.kept.number<<receivedShift|uint64(id))
}

// keepEntry writes down that s is owed d: that it waits, when flight is 0, or
// that it has the number flight-1 in the order of sending.
func (r *Router) keepEntry(s *Session, d *delivery, flight uint64) {
	k := r.keep
	class := k.class(d.msg)
	sends := d.qos == 2 && flight != 0 // its PacketID must be known after a crash, or the client could take another message for it
	if class == DurabilityNone && !sends {
		return
	}
	fresh := d.key == 0
	u := later
	switch {
	case class == DurabilitySync && d.qos == 2:
		u = promised
	case class == DurabilitySync && fresh:
		u = wanted
	case sends:
		u = soon
	}
	if fresh {
		k.entries++
		d.key = k.entries
		if class != DurabilityNone {
			k.hold(d.msg, u)
		}
		if u == wanted && !k.failed {
			k.want(d.key, flight == 0)
		}
	}
	k.putEntry(s, d, flight, u)
}

// keepReleased notes that PUBREC came for e: its message is not needed any
// more.
func (r *Router) keepReleased(s *Session, e *flight) {
	if e.key == 0 || e.msg.class == DurabilityNone { // of the latter only the PacketID is written
		return
	}
	r.keep.letGo(e.msg)
	e.msg = nil
	r.keep.putEntry(s, &e.delivery, e.n+1, promised)
	s.kept.release = r.keep.open
	r.keep.list(s)
}

func (k *keeper) putEntry(s *Session, d *delivery, flight uint64, u urgency) {
	rec := entryRecord{session: s.kept.number, flight: flight, qos: d.qos, retain: d.retain}
	if d.msg != nil {
		rec.message, rec.size = d.msg.key, d.msg.bytes()
	}
	if o := d.from; o != nil {
		rec.ids = o.ids
		if o.group != nil {
			rec.group = []byte(o.group.key)
		}
	}
	k.put(recordKey(tableEntries, d.key), rec.append(k.scratch[:0]), nil, u)
}

// dropEntry takes away what d was written down as, if it was.
func (r *Router) dropEntry(d *delivery) {
	if d.key == 0 {
		return
	}
	r.keep.delete(recordKey(tableEntries, d.key), later)
	d.key = 0
	if d.msg != nil {
		r.keep.letGo(d.msg)
	}
}

// hold writes m down for its first entry, which is as urgent.
func (k *keeper) hold(m *Message, u urgency) {
	if m.key != 0 && k.named.of(m.key) > 0 {
		k.named.add(m.key, 1)
		return
	}
	k.messages++
	k.wear.count(m, k.publisher(m))
	m.key = k.messages
	k.named.add(m.key, 1)
	rec := k.body(m)
	k.putMessage(recordKey(tableMessages, m.key), rec.append(append(k.scratch[:0], recordVersion)), m, u)
}

// letGo takes m away with its last entry.
func (k *keeper) letGo(m *Message) {
	if m.class != DurabilityNone && k.forget(m.key) { // of class none nothing was written
		m.key = 0
	}
}

// forget takes an entry of message n out of the count, and with the last one its
// record.
func (k *keeper) forget(n uint64) (last bool) {
	if k.named.add(n, -1) > 0 {
		return false
	}
	k.delete(recordKey(tableMessages, n), later)
	return true
}

// keepRetained writes down the message that a topic has now. One that came with
// QoS 0 promises nothing: the last of a row is enough, when there is room.
func (r *Router) keepRetained(m *retainedMessage) {
	k := r.keep
	if k == nil || k.failed || m.msg.Topic()[0] == '$' {
		return
	}
	switch class := k.class(m.msg); {
	case class == DurabilityNone:
		if m.dirty = false; m.key != 0 { // of a time when it was to be kept
			k.delete(recordKey(tableRetained, m.key), later)
			m.key = 0
		}
	case class == DurabilitySync && m.qos > 0:
		k.putRetained(m, promised, k.publisher(m.msg))
	case m.dirty:
	case class == DurabilityLazy:
		m.dirty = true
		k.lazy = addDirty(k.lazy, dirtyRetained{m, k.publisher(m.msg)})
		k.changed(later, m.msg.bytes())
	default:
		m.dirty = true
		k.dirty = addDirty(k.dirty, dirtyRetained{m, k.publisher(m.msg)})
	}
}

func (k *keeper) putRetained(m *retainedMessage, u urgency, by string) {
	if m.key == 0 {
		k.retained++
		m.key = k.retained
	}
	m.dirty = false
	k.wear.count(m.msg, by)
	rec := retainedRecord{qos: m.qos, body: k.body(m.msg)}
	if o := m.msg.owner(); o != nil {
		rec.owner = o.user
	}
	k.putMessage(recordKey(tableRetained, m.key), rec.append(k.scratch[:0]), m.msg, u)
}

// dropRetained takes the message of a topic away.
func (r *Router) dropRetained(m *retainedMessage) {
	m.dirty = false
	if m.key != 0 {
		r.keep.delete(recordKey(tableRetained, m.key), urgencyOf(r.keep.class(m.msg)))
		m.key = 0
	}
}

// dirtyRetained is a retained message that is to be written; by is the client
// that made it so.
type dirtyRetained struct {
	*retainedMessage
	by string
}

// addDirty adds d. One that was written, or taken away, is gone.
func addDirty(list []dirtyRetained, d dirtyRetained) []dirtyRetained {
	return append(withRoom(list, func(d dirtyRetained) bool { return !d.dirty }), d)
}

// writeDirty puts those of list that are not written yet, as far as there is
// room, and returns the others.
func (k *keeper) writeDirty(list []dirtyRetained) []dirtyRetained {
	switch {
	case len(list) == 0 || k.failed:
		return nil
	case !k.store.Room(0): // for none of them, however many
		return list
	}
	kept := list[:0]
	for _, d := range list {
		m := d.retainedMessage
		switch {
		case !m.dirty: // gone, or written since
		case !k.store.Room(m.msg.bytes()):
			kept = append(kept, d)
		default:
			k.putRetained(m, soon, d.by)
		}
	}
	clear(list[len(kept):])
	return kept
}

// writeLast puts all that is not written yet: the process ends in good order.
func (k *keeper) writeLast() {
	for _, list := range [][]dirtyRetained{k.dirty, k.lazy} {
		for _, d := range list {
			if d.dirty {
				k.putRetained(d.retainedMessage, soon, d.by)
			}
		}
	}
	k.dirty, k.lazy = nil, nil
	k.noteWear(0)
}
