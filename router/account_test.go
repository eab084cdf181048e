package router

import (
	"testing"
	"unsafe"
)

// TestAccountKnowsTheSizes: what is counted of structs is what the allocator takes for them.
func TestAccountKnowsTheSizes(t *testing.T) {
	for _, row := range []struct {
		name            string
		size            uintptr
		counted, spared int // what rounding up to a size of the allocator may add
	}{
		{"Message", unsafe.Sizeof(Message{}), messageBytes, 0},
		{"messageMore", unsafe.Sizeof(messageMore{}), moreBytes, 8},
		{"delivery", unsafe.Sizeof(delivery{}), placeBytes, 0},
		{"flight", unsafe.Sizeof(flight{}), flightBytes, 0},
		{"flow", unsafe.Sizeof(flow{}), flowBytes, 0},
		{"origin", unsafe.Sizeof(origin{}), originBytes, 8},
		{"packetSet", unsafe.Sizeof(packetSet{}), setBytes, 48},
		{"page of a packetSet", unsafe.Sizeof([16]uint64{}), setPageBytes, 0},
	} {
		if n := int(row.size); n > row.counted || n+row.spared < row.counted {
			t.Errorf("%s takes %d bytes, %d are counted", row.name, n, row.counted)
		}
	}
}
