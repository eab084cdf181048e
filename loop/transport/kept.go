package transport

// How input is held.
//
// A filter writes what it makes of its input over that input, and hands it on there. What the handler leaves, the
// beginning of a packet, stays in the view and comes again from the engine, with new bytes behind it. So a view is
// always made of three parts:
//
//	plain   what the handler gets, or has left
//	gap     used up: headers of frames and records whose content was joined to plain
//	raw     as it came
//
// New content is moved to the end of plain, to stand in one piece with it; the gap moves on. The engine gets back what
// lies before plain. It keeps the memory, and has us called after Resume, as it does for any handler.
//
// The gap is input that the engine keeps for nothing. It is closed by moving plain up to raw, when plain is short or
// the gap has become large beside it: then the moving costs no more than gapShare bytes for each byte received.

const (
	joinBytesMax = 4 << 10  // plain bytes that are moved over any gap
	gapBytesMax  = 32 << 10 // bytes of a gap that is large beside no plain at all
	gapShare     = 8        // a gap is large if it has more than an eighth of plain, too
)

// kept is how the next view will begin.
type kept struct{ plain, gap int }

// keep notes that of view the handler has left what lies between start and end, and that the bytes from raw on are as
// they came. It returns how many bytes are used.
func (k *kept) keep(view []byte, start, end, raw int) (used int) {
	if start == end {
		k.plain, k.gap = 0, 0
		return raw
	}
	k.plain, k.gap = end-start, raw-end
	if k.plain <= joinBytesMax || k.gap > max(gapBytesMax, k.plain/gapShare) {
		start += k.gap
		copy(view[start:raw], view[start-k.gap:end])
		k.gap = 0
	}
	return start
}
