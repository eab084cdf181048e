package loop

// scripted is a Handler that counts.
type scripted struct {
	c            Conn
	got          []byte
	closed       []error
	data         func(view []byte)
	datas, lowed int
}

func (s *scripted) Data(view []byte) (int, error) {
	s.datas++
	if s.data != nil {
		s.data(view)
	} else {
		s.got = append(s.got, view...)
	}
	return len(view), nil
}
func (s *scripted) Drained()         { s.lowed++ }
func (s *scripted) Closed(why error) { s.closed = append(s.closed, why) }
