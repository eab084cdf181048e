package codec

// Connect is a CONNECT packet (section 3.1).
type Connect struct {
	Version          Version
	CleanStart       bool // Clean Session in 3.x
	KeepAliveSeconds uint16
	ClientID         []byte

	HasWill                bool
	WillQoS                byte
	WillRetain             bool
	WillTopic, WillPayload []byte
	WillProps              Properties

	HasUsername, HasPassword bool
	Username, Password       []byte

	Props Properties
}

const (
	connectReserved   = 1 << 0
	connectClean      = 1 << 1
	connectWill       = 1 << 2
	connectWillQoS    = 3 // two bits, shifted by connectWillShift
	connectWillShift  = 3
	connectWillRetain = 1 << 5
	connectPassword   = 1 << 6
	connectUsername   = 1 << 7
)

// Decode reads a CONNECT. A protocol name or level that is not one of ours is
// an *Error with UnsupportedProtocolVersion; Version then holds the level that
// was asked for, so that the refusal can be put in its form.
func (c *Connect) Decode(k *Packet) error {
	*c = Connect{}
	r := reader{b: k.Body}
	if err := c.decodeVersion(&r); err != nil {
		return err
	}
	flags := r.u8()
	c.KeepAliveSeconds = r.u16()
	if err := r.err(TypeConnect); err != nil {
		return err
	}
	if err := c.setFlags(flags); err != nil {
		return err
	}
	if c.Version == V5 {
		if err := c.Props.decode(&r, in(TypeConnect), TypeConnect); err != nil {
			return err
		}
	}
	c.ClientID = r.str()
	if c.HasWill {
		if err := c.decodeWill(&r); err != nil {
			return err
		}
	}
	if c.HasUsername {
		c.Username = r.str()
	}
	if c.HasPassword {
		c.Password = r.bin()
	}
	return r.end(TypeConnect)
}

func (c *Connect) decodeVersion(r *reader) error {
	name := r.str()
	c.Version = Version(r.u8())
	if err := r.err(TypeConnect); err != nil {
		return err
	}
	switch {
	case string(name) == "MQTT" && (c.Version == V311 || c.Version == V5):
		return nil
	case string(name) == "MQIsdp" && c.Version == V31:
		return nil
	case string(name) != "MQTT" && string(name) != "MQIsdp":
		return malformed("MQTT-3.1.2-1", "CONNECT with a protocol name that is not MQTT's")
	}
	return &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "CONNECT with protocol " + c.Version.String() + " of " + string(name)}
}

func (c *Connect) setFlags(f byte) error {
	c.CleanStart = f&connectClean != 0
	c.HasWill = f&connectWill != 0
	c.WillQoS = f >> connectWillShift & connectWillQoS
	c.WillRetain = f&connectWillRetain != 0
	c.HasPassword, c.HasUsername = f&connectPassword != 0, f&connectUsername != 0
	switch {
	case f&connectReserved != 0:
		return malformed("MQTT-3.1.2-3", "CONNECT with its reserved flag set")
	case c.WillQoS == 3:
		return malformed(by(c.Version, "MQTT-3.1.2-14", "MQTT-3.1.2-12"), "CONNECT with Will QoS 3")
	case !c.HasWill && (c.WillQoS != 0 || c.WillRetain):
		return malformed(by(c.Version, "MQTT-3.1.2-13", "MQTT-3.1.2-11"), "CONNECT with Will QoS or Will Retain and no Will")
	case c.Version != V5 && c.HasPassword && !c.HasUsername:
		return malformed("MQTT-3.1.2-22", "CONNECT with a password and no user name")
	}
	return nil
}

func (c *Connect) decodeWill(r *reader) error {
	if c.Version == V5 {
		if err := c.WillProps.decode(r, placeWill, TypeConnect); err != nil {
			return err
		}
	}
	c.WillTopic = r.str()
	c.WillPayload = r.bin()
	if err := r.err(TypeConnect); err != nil {
		return err
	}
	return checkTopicName(c.WillTopic, "Will topic")
}

// checkTopicName holds a topic name against section 4.7.
//
// hot: no allocation but for errors.
func checkTopicName(topic []byte, what string) error {
	if len(topic) == 0 {
		return &Error{TopicNameInvalid, "MQTT-4.7.3-1", what + " is empty"}
	}
	for _, b := range topic {
		if b == '+' || b == '#' {
			return &Error{TopicNameInvalid, "MQTT-3.3.2-2", what + " with a wildcard"}
		}
	}
	return nil
}

// AppendConnect encodes c.
func AppendConnect(dst []byte, c *Connect) []byte {
	name := "MQTT"
	if c.Version == V31 {
		name = "MQIsdp"
	}
	n := 2 + len(name) + 4 + 2 + len(c.ClientID)
	if c.Version == V5 {
		n += c.Props.blockBytes()
	}
	if c.HasWill {
		n += 4 + len(c.WillTopic) + len(c.WillPayload)
		if c.Version == V5 {
			n += c.WillProps.blockBytes()
		}
	}
	if c.HasUsername {
		n += 2 + len(c.Username)
	}
	if c.HasPassword {
		n += 2 + len(c.Password)
	}
	dst = appendFixed(dst, byte(TypeConnect)<<4, n)
	dst = appendU16(dst, uint16(len(name)))
	dst = append(dst, name...)
	dst = append(dst, byte(c.Version), c.flags())
	dst = appendU16(dst, c.KeepAliveSeconds)
	if c.Version == V5 {
		dst = c.Props.appendBlock(dst)
	}
	dst = appendString(dst, c.ClientID)
	if c.HasWill {
		if c.Version == V5 {
			dst = c.WillProps.appendBlock(dst)
		}
		dst = appendString(appendString(dst, c.WillTopic), c.WillPayload)
	}
	if c.HasUsername {
		dst = appendString(dst, c.Username)
	}
	if c.HasPassword {
		dst = appendString(dst, c.Password)
	}
	return dst
}

func (c *Connect) flags() (f byte) {
	if c.CleanStart {
		f |= connectClean
	}
	if c.HasWill {
		f |= connectWill | c.WillQoS<<connectWillShift
		if c.WillRetain {
			f |= connectWillRetain
		}
	}
	if c.HasPassword {
		f |= connectPassword
	}
	if c.HasUsername {
		f |= connectUsername
	}
	return f
}
