package codec

// Subscribe is a SUBSCRIBE packet (section 3.8).
type Subscribe struct {
	PacketID uint16
	Props    Properties
	rest     []byte // filters not taken by Check or Next
	version  Version
}

// Filter is one filter of a SUBSCRIBE with its options (section 3.8.3.1).
type Filter struct {
	Name              []byte
	QoS               byte
	NoLocal           bool // this and the following in 5.0
	RetainAsPublished bool
	RetainHandling    byte // 0: send at every subscribe, 1: only at a new one, 2: never
}

const (
	filterQoS           = 3
	filterNoLocal       = 1 << 2
	filterRAP           = 1 << 3
	filterHandlingShift = 4
	filterReserved      = 0xc0
)

// Decode reads a SUBSCRIBE and checks all of its filters, but for where their
// wildcards stand.
func (s *Subscribe) Decode(k *Packet, v Version) error {
	err := s.DecodeHead(k, v)
	for left, more := *s, true; more && err == nil; {
		_, more, err = left.Check()
	}
	return err
}

// DecodeHead reads a SUBSCRIBE but for its filters, of which there may be
// hundreds of thousands: Check has to look at each before Next may take it.
func (s *Subscribe) DecodeHead(k *Packet, v Version) error {
	*s = Subscribe{version: v}
	if err := k.checkRepeat(v); err != nil {
		return err
	}
	r := reader{b: k.Body}
	s.PacketID = r.u16()
	if err := r.err(TypeSubscribe); err != nil {
		return err
	}
	if s.PacketID == 0 {
		return zeroPacketID(v, TypeSubscribe)
	}
	if v == V5 {
		if err := s.Props.decode(&r, in(TypeSubscribe), TypeSubscribe); err != nil {
			return err
		}
	}
	s.rest = r.b
	if len(r.b) == 0 {
		return protocol(by(v, "MQTT-3.8.3-3", "MQTT-3.8.3-2"), "SUBSCRIBE without a filter")
	}
	return nil
}

// Check takes the next filter as Next does, and says what is wrong with it, but
// for where its wildcards stand.
func (s *Subscribe) Check() (f Filter, ok bool, err error) {
	if len(s.rest) == 0 {
		return f, false, nil
	}
	r := reader{b: s.rest}
	name, options := r.str(), r.u8()
	if err := r.err(TypeSubscribe); err != nil {
		return f, false, err
	}
	if len(name) == 0 {
		return f, false, malformed("MQTT-4.7.3-1", "SUBSCRIBE with an empty filter")
	}
	if err := checkOptions(s.version, options); err != nil {
		return f, false, err
	}
	f, ok = s.Next()
	return f, ok, nil
}

func checkOptions(v Version, o byte) error {
	if o&filterQoS == 3 && v == V5 {
		return protocol("", "SUBSCRIBE with QoS 3")
	}
	if o&filterQoS == 3 {
		return malformed("MQTT-3.8.3-4", "SUBSCRIBE with QoS 3")
	}
	if v != V5 && o > filterQoS || o&filterReserved != 0 {
		return malformed(by(v, "MQTT-3.8.3-4", "MQTT-3.8.3-5"), "SUBSCRIBE with reserved option bits set")
	}
	if o>>filterHandlingShift&3 == 3 {
		return protocol("", "SUBSCRIBE with Retain Handling 3")
	}
	return nil
}

// Next takes the next filter of a SUBSCRIBE whose filters were checked.
func (s *Subscribe) Next() (f Filter, ok bool) {
	if len(s.rest) == 0 {
		return f, false
	}
	r := reader{b: s.rest}
	f.Name = r.bin()
	o := r.u8()
	s.rest = r.b
	f.QoS = o & filterQoS
	f.NoLocal, f.RetainAsPublished = o&filterNoLocal != 0, o&filterRAP != 0
	f.RetainHandling = o >> filterHandlingShift & 3
	return f, true
}

// options is the byte behind the filter's name.
func (f *Filter) options(v Version) byte {
	o := f.QoS
	if v != V5 {
		return o
	}
	if f.NoLocal {
		o |= filterNoLocal
	}
	if f.RetainAsPublished {
		o |= filterRAP
	}
	return o | f.RetainHandling<<filterHandlingShift
}

// AppendSubscribe encodes a SUBSCRIBE of filters; of s it takes PacketID and
// Props.
func AppendSubscribe(dst []byte, v Version, s *Subscribe, filters []Filter) []byte {
	n := 2
	if v == V5 {
		n += s.Props.blockBytes()
	}
	for i := range filters {
		n += 3 + len(filters[i].Name)
	}
	dst = appendU16(appendFixed(dst, byte(TypeSubscribe)<<4|2, n), s.PacketID)
	if v == V5 {
		dst = s.Props.appendBlock(dst)
	}
	for i := range filters {
		dst = append(appendString(dst, filters[i].Name), filters[i].options(v))
	}
	return dst
}

// Suback is a SUBACK packet (section 3.9).
type Suback struct {
	PacketID uint16
	Codes    []byte // a granted QoS or a failure for each filter, in order
	Props    Properties
}

// SubackFailure is the only failure that 3.1.1 has.
const SubackFailure byte = 0x80

// Decode reads a SUBACK. Codes is a view.
func (a *Suback) Decode(k *Packet, v Version) error {
	return decodeCodes(k, v, &a.PacketID, &a.Props, &a.Codes)
}

// AppendSuback encodes a.
func AppendSuback(dst []byte, v Version, a *Suback) []byte {
	return appendCodes(dst, TypeSuback, v, a.PacketID, &a.Props, a.Codes)
}

// decodeCodes reads a SUBACK or UNSUBACK.
func decodeCodes(k *Packet, v Version, id *uint16, props *Properties, codes *[]byte) error {
	r := reader{b: k.Body}
	*id = r.u16()
	props.reset()
	if err := r.err(k.Type); err != nil {
		return err
	}
	if *id == 0 {
		return zeroPacketID(v, k.Type)
	}
	if v == V5 {
		if err := props.decode(&r, in(k.Type), k.Type); err != nil {
			return err
		}
	}
	*codes = r.b
	return nil
}

func appendCodes(dst []byte, t Type, v Version, id uint16, props *Properties, codes []byte) []byte {
	n := 2 + len(codes)
	if v == V5 {
		n += props.blockBytes()
	}
	dst = appendU16(appendFixed(dst, byte(t)<<4, n), id)
	if v == V5 {
		dst = props.appendBlock(dst)
	}
	return append(dst, codes...)
}
