package record

import "testing"

// Buffers that were made for a slow file go when it has caught up, but for those that are there from the start.
func TestSparesThatNobodyNeeds(t *testing.T) {
	s := &spares{}
	want := func(n int) {
		t.Helper()
		if len(s.list) != n {
			t.Errorf("%d spares, want %d", len(s.list), n)
		}
	}
	for range sparesMax + 5 {
		s.put(make([]byte, 0, 1))
	}
	want(sparesMax)
	s.trim() // it is not known yet what was needed
	want(sparesMax)
	for range sparesMin + 10 {
		s.take()
	}
	for range sparesMin + 10 {
		s.put(make([]byte, 0, 1))
	}
	s.trim()
	want(sparesMin + 10)
	s.trim()
	want(sparesMin)
	s.trim()
	want(sparesMin)
}
