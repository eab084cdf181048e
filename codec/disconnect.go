package codec

// Disconnect is a DISCONNECT packet (section 3.14).
type Disconnect struct {
	Reason Reason // 5.0
	Props  Properties
}

// Decode reads a DISCONNECT.
func (d *Disconnect) Decode(k *Packet, v Version) error {
	*d = Disconnect{}
	return decodeReason(k, v, &d.Reason, &d.Props)
}

// AppendDisconnect encodes d; in 5.0 what says nothing is left out.
func AppendDisconnect(dst []byte, v Version, d *Disconnect) []byte {
	return appendReason(dst, TypeDisconnect, v, d.Reason, &d.Props)
}

// Auth is an AUTH packet (section 3.15), 5.0 only.
type Auth struct {
	Reason Reason
	Props  Properties
}

// Decode reads an AUTH.
func (a *Auth) Decode(k *Packet, v Version) error {
	*a = Auth{}
	if v != V5 {
		return protocol("", "AUTH in MQTT "+v.String())
	}
	if err := decodeReason(k, v, &a.Reason, &a.Props); err != nil {
		return err
	}
	if !a.Props.Has.Has(PropAuthMethod) && a.Reason != Success {
		return protocol("", "AUTH without an authentication method")
	}
	return nil
}

// AppendAuth encodes a.
func AppendAuth(dst []byte, a *Auth) []byte {
	return appendReason(dst, TypeAuth, V5, a.Reason, &a.Props)
}

// decodeReason reads a packet of a reason code and properties, both of which
// may be left out.
func decodeReason(k *Packet, v Version, reason *Reason, props *Properties) error {
	r := reader{b: k.Body}
	if v == V5 && len(r.b) > 0 {
		*reason = Reason(r.u8())
		if len(r.b) > 0 {
			if err := props.decode(&r, in(k.Type), k.Type); err != nil {
				return err
			}
		}
	}
	if err := r.end(k.Type); err != nil {
		return err
	}
	if !reason.mayCarry(k.Type) {
		return badReason(k.Type, *reason)
	}
	return nil
}

func appendReason(dst []byte, t Type, v Version, reason Reason, props *Properties) []byte {
	switch {
	case v != V5 || reason == Success && props.size() == 0:
		return append(dst, byte(t)<<4, 0)
	case props.size() == 0:
		return append(dst, byte(t)<<4, 1, byte(reason))
	}
	dst = append(appendFixed(dst, byte(t)<<4, 1+props.blockBytes()), byte(reason))
	return props.appendBlock(dst)
}
