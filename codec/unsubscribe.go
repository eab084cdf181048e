package codec

// Unsubscribe is an UNSUBSCRIBE packet (section 3.10).
type Unsubscribe struct {
	PacketID uint16
	Props    Properties
	rest     []byte // filters not taken by Check or Next
}

// Decode reads an UNSUBSCRIBE and checks all of its filters, but for where
// their wildcards stand.
func (u *Unsubscribe) Decode(k *Packet, v Version) error {
	err := u.DecodeHead(k, v)
	for left, more := *u, true; more && err == nil; {
		_, more, err = left.Check()
	}
	return err
}

// DecodeHead reads an UNSUBSCRIBE but for its filters, as Subscribe.DecodeHead
// does.
func (u *Unsubscribe) DecodeHead(k *Packet, v Version) error {
	*u = Unsubscribe{}
	if err := k.checkRepeat(v); err != nil {
		return err
	}
	r := reader{b: k.Body}
	u.PacketID = r.u16()
	if err := r.err(TypeUnsubscribe); err != nil {
		return err
	}
	if u.PacketID == 0 {
		return zeroPacketID(v, TypeUnsubscribe)
	}
	if v == V5 {
		if err := u.Props.decode(&r, in(TypeUnsubscribe), TypeUnsubscribe); err != nil {
			return err
		}
	}
	u.rest = r.b
	if len(r.b) == 0 {
		return protocol("MQTT-3.10.3-2", "UNSUBSCRIBE without a filter")
	}
	return nil
}

// Check takes the next filter as Next does, and says what is wrong with it, but
// for where its wildcards stand.
func (u *Unsubscribe) Check() (name []byte, ok bool, err error) {
	if len(u.rest) == 0 {
		return nil, false, nil
	}
	r := reader{b: u.rest}
	name = r.str()
	if err := r.err(TypeUnsubscribe); err != nil {
		return nil, false, err
	}
	if len(name) == 0 {
		return nil, false, malformed("MQTT-4.7.3-1", "UNSUBSCRIBE with an empty filter")
	}
	u.rest = r.b
	return name, true, nil
}

// Next takes the next filter of an UNSUBSCRIBE whose filters were checked.
func (u *Unsubscribe) Next() (name []byte, ok bool) {
	if len(u.rest) == 0 {
		return nil, false
	}
	r := reader{b: u.rest}
	name = r.bin()
	u.rest = r.b
	return name, true
}

// AppendUnsubscribe encodes an UNSUBSCRIBE of filters; of u it takes PacketID
// and Props.
func AppendUnsubscribe(dst []byte, v Version, u *Unsubscribe, filters [][]byte) []byte {
	n := 2
	if v == V5 {
		n += u.Props.blockBytes()
	}
	for _, f := range filters {
		n += 2 + len(f)
	}
	dst = appendU16(appendFixed(dst, byte(TypeUnsubscribe)<<4|2, n), u.PacketID)
	if v == V5 {
		dst = u.Props.appendBlock(dst)
	}
	for _, f := range filters {
		dst = appendString(dst, f)
	}
	return dst
}

// Unsuback is an UNSUBACK packet (section 3.11).
type Unsuback struct {
	PacketID uint16
	Codes    []byte // 5.0: a reason for each filter, in order
	Props    Properties
}

// Decode reads an UNSUBACK. Codes is a view.
func (a *Unsuback) Decode(k *Packet, v Version) error {
	if err := decodeCodes(k, v, &a.PacketID, &a.Props, &a.Codes); err != nil {
		return err
	}
	if v != V5 && len(a.Codes) > 0 {
		return malformed("", "UNSUBACK has bytes behind its last field")
	}
	return nil
}

// AppendUnsuback encodes a; 3.x leaves Codes out.
func AppendUnsuback(dst []byte, v Version, a *Unsuback) []byte {
	codes := a.Codes
	if v != V5 {
		codes = nil
	}
	return appendCodes(dst, TypeUnsuback, v, a.PacketID, &a.Props, codes)
}
