package router

import (
	"errors"

	"github.com/loopmq/loopmq/codec"
	"github.com/loopmq/loopmq/internal/timer"
)

// An acknowledgement is a promise. What depends on a record that is not durable
// yet waits for the batch that holds it:
//
//	gather  handlers put records, and their answers into a queue of the client
//	seal    at the end of a pass, unless a commit is in flight, or what gathers is
//	        about to be acknowledged (lot.go)
//	release when the store says that the batch is durable: answers leave, then
//	        deliveries with QoS 2 of that batch; or when nobody needs it any more
//
// One batch is in flight and one gathers, so a lone message does not wait for
// company, and under load a commit serves many.

const (
	lazyBytesMax  = 256 << 10   // of records that nobody waits for
	fullRetry     = int64(1e9)  // ns between attempts when the store is full
	fullCalm      = int64(6e10) // ns with room before it is said that there is room again
	waitsBytesMax = 1 << 20     // of a client's answers that wait; publishers are held back long before
	waitsBufKept  = 4096
	waitsIdleKept = 256
)

// ErrStoreFull is what a Store's errors wrap while it has no room; what was
// sealed then goes with the next batch that finds room. After any other error
// nothing is committed any more.
var ErrStoreFull = errors.New("store is full")

// batches counts lots and commits, and knows who waits for which.
type batches struct {
	lots      []*lot // that are not done; the last one gathers
	spareLots []*lot
	released  []*lot // scratch
	open      uint64 // number of the lot that gathers
	done      uint64 // all up to it are durable, or need not be
	sealedLot uint64 // all up to it were handed to the store
	needs     uint64 // records that somebody may wait for, so far
	lastNeed  uint64 // lot that holds the last of them
	patience  patience
	inFlight  bool
	lazyBytes int
	lazySince int64 // ns; 0: nothing is lazy
	lazyWait  int64 // ns that such records wait for company
	idle      []*waits
	err       error // why nothing is durable: the store is full, or has failed
	failed    bool
	full      bool   // there is no room
	fulls     uint64 // how often there was none since there was enough for long; 0: the log knows of none
	calmAt    int64  // ns; when it is told that there is enough again
	retryAt   int64  // ns; when a full store is tried again
	wake      retry
	beat      beat
}

// retry wakes the loop when a full store is to be tried again, or what gathers has
// waited long enough.
type retry struct {
	timer timer.Timer
	at    int64 // ns; when it is due, while it is armed
}

// Due does nothing: EndPass looks what there is to do.
func (*retry) Due(int64) {}

// changed notes that the open batch has got a record.
func (k *keeper) changed(u urgency, size int) {
	if u >= wanted {
		k.needs++
	}
	if u != later {
		k.lastNeed = k.open
		if u != wanted {
			k.lot().firm = true
		}
		return
	}
	k.lazyBytes += size + 24
	if k.lazySince == 0 {
		k.lazySince = k.r.now
	}
}

// mark is a point in the row of records that somebody may wait for.
func (k *keeper) mark() uint64 {
	if k == nil {
		return 0
	}
	return k.needs
}

// endBatch ends the pass for the store.
func (r *Router) endBatch() {
	r.keep.feed()
	r.keep.settleEstates()
	r.keep.commit()
}

// accepts says why durable messages are not taken; nil: they are.
func (k *keeper) accepts() error {
	switch {
	case k.err != nil:
		return k.err
	case k.store.Err() != nil:
		return k.store.Err()
	}
	return nil
}

// crowded tells whether publishers should wait until there is room again.
func (k *keeper) crowded() bool { return k != nil && !k.failed && !k.store.Room(0) }

// commit seals the open batch if it is time to. Once a pass, at its end.
func (k *keeper) commit() {
	if k.failed {
		return
	}
	k.endLot()
	if k.inFlight {
		return
	}
	k.dirty = k.writeDirty(k.dirty)
	k.look()
	now := k.r.now
	need := k.lastNeed > max(k.sealedLot, k.done)
	lazy := k.lazySince != 0 && (k.lazyBytes > lazyBytesMax || now-k.lazySince >= k.lazyWait)
	switch {
	case k.failed:
		return
	case k.full && now >= k.retryAt: // with nothing in it as well: the store looks for room
		k.retryAt = k.r.after(fullRetry)
	case k.err != nil:
		return
	case !need && !lazy:
		if k.lazySince != 0 {
			k.wakeAt(k.lazySince + k.lazyWait)
		}
		return
	case need && !lazy:
		if until, wait := k.patient(); wait {
			k.wakeAt(until)
			return
		}
	}
	k.seal()
}

// look sees what the store says of itself. It is full, and takes nothing new,
// while it has room left for deletions: then commits succeed, and it is for us
// to ask again. At the limit it is full and takes records again many times a
// minute: the log hears of the first, and of the last when there was room for
// fullCalm.
func (k *keeper) look() {
	switch err := k.accepts(); {
	case err == nil:
		if k.full {
			k.full, k.calmAt = false, k.r.after(fullCalm)
		}
		switch {
		case k.fulls == 0:
		case k.r.now < k.calmAt:
			k.wakeAt(k.calmAt)
		default:
			k.r.event(&Event{Kind: EventStore, Count: k.fulls})
			k.fulls = 0
		}
		return
	case !errors.Is(err, ErrStoreFull):
		k.fail(err)
		return
	case !k.full:
		k.full, k.retryAt = true, k.r.after(fullRetry)
		if k.fulls++; k.fulls == 1 {
			k.r.event(&Event{Kind: EventStore, Err: err})
		}
	}
	k.wakeAt(k.retryAt)
}

// wakeAt has EndPass called again in time.
func (k *keeper) wakeAt(at int64) {
	if !k.wake.timer.Armed() || at < k.wake.at {
		k.wake.at = at
		k.r.timers.Set(&k.wake.timer, &k.wake, at)
	}
}

// seal hands the open batch over.
func (k *keeper) seal() {
	k.lazy = k.writeDirty(k.lazy)
	k.noteWear(wearEvery)
	n := k.open
	// While a full store is tried again, for days, there are not more and more lots:
	// the last one goes on gathering, and its answers with the next commit.
	crowded := k.err != nil && len(k.lots) >= lotsMax
	stays := crowded || k.lotIsEmpty()
	if stays {
		n--
	}
	for _, l := range k.lots {
		for _, s := range l.sessions {
			if s.kept != nil {
				s.kept.sealing = s.out.next
			}
		}
	}
	if !k.store.Seal(func(err error) { k.committed(n, err) }) {
		return // somebody else's commit; the next pass tries again
	}
	k.inFlight = true
	k.sealed, k.enlisted, k.estateDone = k.entries, k.sessions, 0
	if !stays {
		k.closeLot()
	}
	if crowded {
		k.lastNeed = k.open
	}
	k.sealedLot, k.patience.sealedAt = n, k.r.now
	k.patience.begin(k.messages)
	k.lazyBytes, k.lazySince = 0, 0
	if len(k.lazy) > 0 { // there was no room
		k.lazySince = k.r.now
	}
	k.r.timers.Stop(&k.wake.timer)
}

// committed is called when the batch with the lots up to n is durable, or is not.
func (k *keeper) committed(n uint64, err error) {
	k.inFlight = false
	switch {
	case err == nil:
		k.err, k.durable, k.lasting = nil, k.sealed, k.enlisted
		k.patience.took = k.r.now - k.patience.sealedAt
		k.lookAtWear()
		k.release(n)
		k.forgetEnds()
	case errors.Is(err, ErrStoreFull): // what waits, waits for the next
		k.err = err
	default:
		k.fail(err)
	}
}

// fail gives up: nothing is acknowledged any more that should be durable.
func (k *keeper) fail(err error) {
	k.err, k.failed = err, true
	k.r.event(&Event{Kind: EventStore, Err: err, Detail: "failed"})
	for _, l := range k.lots {
		for _, c := range l.clients {
			if c.waits != nil {
				c.close(errStoreFailed)
			}
		}
		l.reset()
	}
	k.dirty, k.lazy = nil, nil
}

// list has s pumped when the open lot is durable.
func (k *keeper) list(s *Session) {
	if s.kept.listed != k.open {
		s.kept.listed = k.open
		l := k.lot()
		l.sessions, l.firm = append(l.sessions, s), true
	}
}

// waits are the answers to a client that wait for commits, in their order: once
// one waits, so do those behind it [MQTT-4.6.0-2].
type waits struct {
	buf    []byte // frames
	marks  []waitMark
	batch  uint64 // lot for which the next answer waits
	listed uint64 // lot whose list the client is on
	mute   uint64 // lot of the CONNACK, before which nothing may leave; 0 = it has left
	window int32  // Client.window after CONNACK
}

// waitMark says that the answers up to end wait for a lot.
type waitMark struct {
	batch uint64
	end   int
}

// await has the following answers wait for all that was put until now.
func (c *Client) await() {
	k := c.r.keep
	if c.waits == nil {
		if n := len(k.idle); n > 0 {
			c.waits, k.idle = k.idle[n-1], k.idle[:n-1]
		} else {
			c.waits = new(waits)
		}
	}
	w := c.waits
	w.batch = k.lastNeed
	if w.listed != w.batch {
		w.listed = w.batch
		k.lotOf(w.batch).addClient(c)
	}
}

// awaitSince has the following answers wait, if records came since mark that
// somebody may wait for.
func (c *Client) awaitSince(mark uint64) {
	if k := c.r.keep; k != nil && k.needs != mark {
		c.await()
	}
}

// awaitFiled is awaitSince for a packet that was handled in pieces: what came since
// mark may be durable by now, or the store may have failed.
func (c *Client) awaitFiled(mark uint64) error {
	switch {
	case c.r.keep.mark() == mark:
	case c.undurable():
		return errStoreFailed
	default:
		c.awaitOpen()
	}
	return nil
}

// awaitAll has the following answers of a durable session wait until nothing
// is open that they could depend on: they repeat what was said on an earlier
// connection.
func (c *Client) awaitAll() {
	if c.session.kept != nil {
		c.awaitOpen()
	}
}

// awaitOpen is awaitAll for any session: what the answers depend on may be
// another client's.
func (c *Client) awaitOpen() {
	if k := c.r.keep; k != nil && k.lastNeed > k.done && !k.failed {
		c.await()
	}
}

// hush lets nothing leave before the answer that comes next, which is CONNACK.
func (c *Client) hush() {
	w := c.waits
	w.mute, w.window = w.batch, c.window
	c.window, c.behind = 0, true
}

func (c *Client) muted() bool { return c.waits != nil && c.waits.mute != 0 }

// answerLater puts a frame behind the answers that wait.
func (c *Client) answerLater(frame []byte) error {
	w := c.waits
	if len(w.buf)+len(frame) > waitsBytesMax {
		return errAnswersUnread
	}
	w.buf = append(w.buf, frame...)
	if n := len(w.marks); n > 0 && w.marks[n-1].batch == w.batch {
		w.marks[n-1].end = len(w.buf)
		return nil
	}
	w.marks = append(w.marks, waitMark{w.batch, len(w.buf)})
	return nil
}

// releaseAnswers sends the answers to c that waited for lots up to done.
func (k *keeper) releaseAnswers(c *Client) {
	w := c.waits
	if w == nil {
		return
	}
	if c.closing {
		k.dropWaits(c)
		return
	}
	if w.mute == 0 && len(w.marks) > 0 && w.marks[0].batch > k.done {
		return // it waits for a later one, on whose list it is as well
	}
	end, n := 0, 0
	for n < len(w.marks) && w.marks[n].batch <= k.done {
		end = w.marks[n].end
		n++
	}
	if err := c.sendAnswers(w.buf[:end]); err != nil {
		c.close(err)
		return
	}
	talks := w.mute != 0 && w.mute <= k.done
	if talks {
		w.mute, c.window = 0, w.window
	}
	if n == len(w.marks) {
		k.dropWaits(c)
	} else {
		w.buf = append(w.buf[:0], w.buf[end:]...)
		w.marks = append(w.marks[:0], w.marks[n:]...)
		for i := range w.marks {
			w.marks[i].end -= end
		}
	}
	if s := c.session; talks && s != nil {
		c.behind = s.late.n > 0
		k.r.pump(s)
	}
}

// sendAnswers sends frames, one by one: the output has room for a few more than
// it should.
func (c *Client) sendAnswers(frames []byte) error {
	for len(frames) > 0 {
		_, n, err := codec.Next(frames, codec.MaxPacketBytes)
		if err != nil || n == 0 {
			return err
		}
		if !c.control(frames[:n]) {
			return errAnswersUnread
		}
		c.r.stats.Answers++
		frames = frames[n:]
	}
	return nil
}

// dropWaits forgets the answers that wait.
func (k *keeper) dropWaits(c *Client) {
	w := c.waits
	c.waits = nil
	if w == nil || len(k.idle) >= waitsIdleKept || cap(w.buf) > waitsBufKept {
		return
	}
	*w = waits{buf: w.buf[:0], marks: w.marks[:0]}
	k.idle = append(k.idle, w)
}

// answerPing answers PINGREQ. It promises nothing and does not wait, but for
// CONNACK.
func (c *Client) answerPing() error {
	if c.waits == nil || c.muted() {
		return c.answer(c.r.pong)
	}
	return c.sendAnswers(c.r.pong)
}

// mustWait tells whether a flight of a durable session may not leave yet: what
// PUBREL gives up must be known after a crash, and so must the PacketID of what
// is sent with QoS 2.
func (k *keeper) mustWait(s *Session, e *flight) bool {
	if e.state == flightPubcomp {
		return s.kept.release > k.done
	}
	return e.qos == 2 && e.n >= s.kept.settled
}
