package codec

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet (sections 3.4 to 3.7).
type Ack struct {
	PacketID uint16
	Reason   Reason // 5.0
	Props    Properties
}

// Decode reads an acknowledgement of the packet's type, overwriting every field.
//
// hot: no allocation.
func (a *Ack) Decode(k *Packet, v Version) error {
	if err := k.checkRepeat(v); err != nil {
		return err
	}
	r := reader{b: k.Body}
	a.PacketID = r.u16()
	a.Reason = Success
	if a.Props.Has != 0 || a.Props.Raw != nil {
		a.Props.reset()
	}
	if v == V5 && len(r.b) > 0 {
		a.Reason = Reason(r.u8())
		if len(r.b) > 0 {
			if err := a.Props.decode(&r, in(k.Type), k.Type); err != nil {
				return err
			}
		}
	}
	if err := r.end(k.Type); err != nil {
		return err
	}
	if a.PacketID == 0 {
		return zeroPacketID(v, k.Type)
	}
	if !a.Reason.mayCarry(k.Type) {
		return badReason(k.Type, a.Reason)
	}
	return nil
}

func badReason(t Type, r Reason) error {
	return protocol("", t.String()+" with a reason code that is not its own: "+r.String())
}

// ackByte is the first byte of an acknowledgement.
func ackByte(t Type) byte {
	if t == TypePubrel {
		return byte(t)<<4 | 2
	}
	return byte(t) << 4
}

// AppendAck encodes a as a packet of type t. In 5.0 what says nothing is left
// out.
//
// hot: no allocation.
func AppendAck(dst []byte, v Version, t Type, a *Ack) []byte {
	props := a.Props.size()
	if v != V5 || a.Reason == Success && props == 0 {
		return AppendAckID(dst, t, a.PacketID)
	}
	if props == 0 {
		return append(dst, ackByte(t), 3, byte(a.PacketID>>8), byte(a.PacketID), byte(a.Reason))
	}
	dst = appendU16(appendFixed(dst, ackByte(t), 3+a.Props.blockBytes()), a.PacketID)
	return a.Props.appendBlock(append(dst, byte(a.Reason)))
}

// AppendAckID encodes the acknowledgement of four bytes: success.
//
// hot: no allocation.
func AppendAckID(dst []byte, t Type, id uint16) []byte {
	return append(dst, ackByte(t), 2, byte(id>>8), byte(id))
}
