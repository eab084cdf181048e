//go:build !linux

package loop

// socketSys is what an engine keeps with a Socket; evio keeps its own.
type socketSys struct{}

// processOf is not asked here: the systems differ, and evio is what runs on them.
func processOf(int) *Process { return nil }

// waitingInKernel is not known here: each of the systems has its own way to ask.
func waitingInKernel(int) uint32 { return 0 }

// Close does nothing here: evio closes what it has opened.
func (s *Socket) Close() {}
