package loop

import (
	"time"

	"github.com/loopmq/loopmq/internal/buf"
)

// shareNanos is how long a kind of work may last in a pass; at least one thing of each is done. See share_linux.go.
const shareNanos = int64(70 * time.Microsecond)

// Limits bound what a peer, a handler or an outsider can make the engine hold or do in one pass. Zero means the
// default.
type Limits struct {
	// OutputBytesMax is the unsent output of one connection, in bytes, beyond which sends are refused (256 KiB). The
	// kernel is asked first, so only what it does not take counts. One frame may exceed the limit while no more than
	// OutputLowBytes are queued, so that a frame larger than the limit can be delivered at all.
	// Counter: OutputsRefused.
	OutputBytesMax int
	// OutputLowBytes is the low-water mark that Drained waits for, in bytes (a quarter of OutputBytesMax).
	OutputLowBytes int
	// ControlBytesMax is what SendControl may queue above OutputBytesMax, or behind a longer frame, in bytes (16 KiB).
	// Counter: OutputsRefused.
	ControlBytesMax int
	// ReadBytes is the most read from one connection in one pass, in bytes (64 KiB): one flooder costs the others no
	// more than this much handling.
	ReadBytes int
	// ArenaBytes is the area that the reads of one pass share, in bytes (1 MiB, at least 4 times ReadBytes). When it is
	// full, another one takes its place.
	ArenaBytes int
	// FlushConns is the number of connections whose output is written in one pass (64: some 0.3 ms), half of that while
	// some are read from that send little, or twice those that were read from in it. The others have their turns in the
	// following passes, which do not sleep. Counter: PartFlushes.
	FlushConns int
	// FlushBytes is the output written in one pass, in bytes (1 MiB), or twice what was read in it; the connection that
	// reaches it is written to the end. Counter: PartFlushes.
	FlushBytes int
	// PassSends is the number of sends in one pass (32,768) from which on it does not read from connections any more that
	// multiply what they send: they come first in the next one.
	PassSends int
	// ViewBytesMax is the memory of reads that is held because output that waits points into it, in bytes (8 MiB, at
	// least ArenaBytes). Beyond it all output is flushed at one go. Counter: WholeFlushes.
	ViewBytesMax int
	// InputBytesMax is the largest unconsumed tail of one connection, in bytes (256 MiB + 5: the largest MQTT packet).
	// Beyond it the connection is closed with ErrInputTooLong.
	InputBytesMax int
	// PassPosts is the number of posted functions run in one pass (1024); the rest run in the next one, without sleep.
	PassPosts int
	// PostsMax is the number of functions from Post that may wait (65,536). Counter: PostsRefused.
	PostsMax int
	// AcceptBatch is the number of connections accepted from one listener in one pass (64).
	AcceptBatch int
	// ConnsMax is the number of connections served (default: the descriptor limit less a reserve for files and
	// outgoing connections: an eighth, at most 64). Further ones are closed at once. Counter: Refused.
	ConnsMax int
}

// outputLeast is the output that a connection may have in any case, in bytes, and a single frame of any length.
const outputLeast = 4 << 10

// crowd is what Engine.Bound says of the pool.
type crowd struct {
	pool *buf.Pool
	most int64
	each int // bytes that all connections may have at the same time, until the next call of Bound
}

func (l *Limits) crowd(pool *buf.Pool, most int64, conns uint64) crowd {
	w := crowd{pool, most, l.OutputBytesMax}
	if most > 0 {
		w.each = int(min(int64(w.each), max(outputLeast, (most-pool.InUse())/int64(conns+1))))
	}
	return w
}

// hasRoom tells whether so many connections that are still to be written may have so many bytes each. Views count, too:
// the kernel may take none of them, and then all have to be copied.
func (w *crowd) hasRoom(bytes, conns int) bool {
	return w.most == 0 || int64(bytes)*int64(conns+1) <= w.most-w.pool.InUse()
}

// withDefaults returns l with every zero replaced. ConnsMax stays 0: the engine knows the descriptor limit only when
// it runs.
func (l Limits) withDefaults() Limits {
	fallback(&l.OutputBytesMax, 256<<10)
	fallback(&l.OutputLowBytes, l.OutputBytesMax/4)
	fallback(&l.ControlBytesMax, 16<<10)
	fallback(&l.ReadBytes, 64<<10)
	fallback(&l.ArenaBytes, 1<<20)
	l.ArenaBytes = max(l.ArenaBytes, 4*l.ReadBytes)
	fallback(&l.FlushConns, 64)
	fallback(&l.FlushBytes, 1<<20)
	fallback(&l.PassSends, 32_768)
	fallback(&l.ViewBytesMax, 8<<20)
	l.ViewBytesMax = max(l.ViewBytesMax, l.ArenaBytes)
	fallback(&l.InputBytesMax, 256<<20+5)
	fallback(&l.PassPosts, 1024)
	fallback(&l.PostsMax, 65_536)
	fallback(&l.AcceptBatch, 64)
	return l
}

func fallback(field *int, value int) {
	if *field <= 0 {
		*field = value
	}
}

// connsMaxFor returns the number of connections to serve with limit descriptors.
func connsMaxFor(limit uint64) int {
	limit = min(limit, 1<<30)
	return int(limit - min(64, limit/8))
}

// Stats are an engine's counters since Run. They are plain fields: read them on the loop goroutine.
type Stats struct {
	Passes  uint64 // turns of the loop
	Wakeups uint64 // returns from a wait that slept
	Posted  uint64 // functions run for Post and Complete

	Conns    uint64 // open now
	Accepted uint64 // handed to Hooks.Accept
	Refused  uint64 // closed because ConnsMax was reached or Hooks.Accept said no
	Closed   uint64 // Closed called

	Reads        uint64 // read calls that returned bytes
	BytesIn      uint64
	Writes       uint64 // write calls that took bytes
	BytesOut     uint64
	Blocked      uint64 // write calls that the kernel refused or cut short
	MidFlushes   uint64 // flushes in mid-pass because the read arena was full
	PartFlushes  uint64 // flushes that left output to the next pass
	WholeFlushes uint64 // flushes of everything because Limits.ViewBytesMax was reached
	StaleEvents  uint64 // events for a connection that was gone

	OutputsRefused  uint64 // sends refused by the output limit
	PostsRefused    uint64 // posts refused by PostsMax or because the engine had ended
	InputsTooLong   uint64 // connections closed with ErrInputTooLong
	AcceptNoFiles   uint64 // EMFILE, ENFILE
	AcceptAborted   uint64 // the peer was gone before it was accepted
	AcceptNoMemory  uint64 // ENOBUFS, ENOMEM
	AcceptOther     uint64 // any other error of accept
	AcceptShed      uint64 // connections closed at once for want of descriptors
	AcceptsPaced    uint64 // times that connections had to wait because of Listener.AcceptRate or Busy
	ListenersPaused uint64 // times a listener was paused
}
