package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ncruces/go-strftime"

	"github.com/loopmq/loopmq/client"
	"github.com/loopmq/loopmq/codec"
)

// printer prints one message that came at a certain time.
type printer func(dst []byte, m *client.Message, at time.Time) []byte

// plainPrinter prints the payload, with verbose the topic before it.
func plainPrinter(verbose, newline bool) printer {
	return func(dst []byte, m *client.Message, _ time.Time) []byte {
		if verbose {
			dst = append(append(dst, m.Topic...), ' ')
			if len(m.Payload) == 0 {
				dst = append(dst, "(null)"...) // as Mosquitto's
			}
		}
		dst = append(dst, m.Payload...)
		if newline {
			dst = append(dst, '\n')
		}
		return dst
	}
}

// formatPrinter compiles a format of -F:
//
//	%t %p %q %r %l %m     topic, payload, QoS, RETAIN, payload length, PacketID
//	%x %X %b              payload as hex, as HEX, as base64
//	%j %J                 JSON, the payload as a string or as JSON itself
//	%I %U                 time of receipt, ISO 8601 and Unix seconds
//	%A %C %D %E %F %P %R %S  properties of MQTT 5.0
//	@c                    strftime's %c of the time of receipt; @N nanoseconds
//	%% @@ \n \t \r \e \a \0 \\
//
// Between % and a letter a width may stand, with - for left and 0 for zeros,
// and for topic and payload a precision.
func formatPrinter(format string, pretty bool) (printer, error) {
	var parts []printer
	text := func(s string) {
		parts = append(parts, func(dst []byte, _ *client.Message, _ time.Time) []byte { return append(dst, s...) })
	}
	for i := 0; i < len(format); {
		c := format[i]
		switch {
		case c == '%':
			p, n, err := escape(format[i:], pretty)
			if err != nil {
				return nil, fmt.Errorf("-F %q: %w", format, err)
			}
			parts = append(parts, p)
			i += n
		case c == '@' || c == '\\':
			if i+1 == len(format) {
				return nil, fmt.Errorf("-F %q: a single %c at the end", format, c)
			}
			if c == '@' {
				p, err := timeEscape(format[i+1])
				if err != nil {
					return nil, fmt.Errorf("-F %q: %w", format, err)
				}
				parts = append(parts, p)
			} else {
				s, ok := backslash(format[i+1])
				if !ok {
					return nil, fmt.Errorf(`-F %q: \%c is not known`, format, format[i+1])
				}
				text(s)
			}
			i += 2
		default:
			n := strings.IndexAny(format[i:], `%@\`)
			if n < 0 {
				n = len(format) - i
			}
			text(format[i : i+n])
			i += n
		}
	}
	return func(dst []byte, m *client.Message, at time.Time) []byte {
		for _, p := range parts {
			dst = p(dst, m, at)
		}
		return append(dst, '\n')
	}, nil
}

func backslash(c byte) (string, bool) {
	s, ok := map[byte]string{'\\': `\`, '0': "\x00", 'a': "\a", 'e': "\x1b", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}[c]
	return s, ok
}

func timeEscape(c byte) (printer, error) {
	switch c {
	case '@':
		return func(dst []byte, _ *client.Message, _ time.Time) []byte { return append(dst, '@') }, nil
	case 'N':
		return func(dst []byte, _ *client.Message, at time.Time) []byte {
			return fmt.Appendf(dst, "%09d", at.Nanosecond())
		}, nil
	}
	spec := "%" + string(rune(c))
	if out := strftime.Format(spec, time.Unix(0, 0)); out == spec || c >= utf8.RuneSelf {
		return nil, fmt.Errorf("@%c is not a part of a time", c)
	}
	return func(dst []byte, _ *client.Message, at time.Time) []byte { return strftime.AppendFormat(dst, spec, at) }, nil
}

// layout is how one value is laid out.
type layout struct {
	left, zero       bool
	width, precision int // precision -1: none
}

// escape compiles the escape that s begins with; n is its length.
func escape(s string, pretty bool) (p printer, n int, err error) {
	f := layout{precision: -1}
	i := 1
	for ; i < len(s) && (s[i] == '-' || s[i] == '0'); i++ {
		f.left, f.zero = f.left || s[i] == '-', f.zero || s[i] == '0'
	}
	f.width, i = digits(s, i)
	if i < len(s) && s[i] == '.' {
		f.precision, i = digits(s, i+1)
	}
	if i == len(s) {
		return nil, 0, fmt.Errorf("a single %% at the end")
	}
	value, err := valueOf(s[i], pretty)
	if err != nil {
		return nil, 0, err
	}
	return func(dst []byte, m *client.Message, at time.Time) []byte { return f.append(dst, value(m, at)) }, i + 1, nil
}

// fieldMax bounds widths and precisions.
const fieldMax = 10_000

func digits(s string, i int) (v, next int) {
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		v = min(v*10+int(s[i]-'0'), fieldMax)
	}
	return v, i
}

func (f *layout) append(dst []byte, v string) []byte {
	if f.precision >= 0 && len(v) > f.precision {
		v = v[:f.precision]
	}
	pad := max(0, f.width-len(v))
	fill := " "
	if f.zero && !f.left {
		fill = "0"
	}
	if f.left {
		return append(append(dst, v...), strings.Repeat(fill, pad)...)
	}
	return append(append(dst, strings.Repeat(fill, pad)...), v...)
}

// valueOf is what a letter stands for.
func valueOf(letter byte, pretty bool) (func(m *client.Message, at time.Time) string, error) {
	simple := func(f func(m *client.Message) string) func(*client.Message, time.Time) string {
		return func(m *client.Message, _ time.Time) string { return f(m) }
	}
	number := func(id codec.PropertyID, f func(p *codec.Properties) uint32) func(*client.Message, time.Time) string {
		return simple(func(m *client.Message) string {
			if !m.Props.Has.Has(id) {
				return ""
			}
			return strconv.FormatUint(uint64(f(&m.Props)), 10)
		})
	}
	switch letter {
	case '%':
		return simple(func(*client.Message) string { return "%" }), nil
	case 't':
		return simple(func(m *client.Message) string { return m.Topic }), nil
	case 'p':
		return simple(func(m *client.Message) string { return string(m.Payload) }), nil
	case 'x':
		return simple(func(m *client.Message) string { return hex.EncodeToString(m.Payload) }), nil
	case 'X':
		return simple(func(m *client.Message) string { return strings.ToUpper(hex.EncodeToString(m.Payload)) }), nil
	case 'b':
		return simple(func(m *client.Message) string { return base64.StdEncoding.EncodeToString(m.Payload) }), nil
	case 'q':
		return simple(func(m *client.Message) string { return strconv.Itoa(int(m.QoS)) }), nil
	case 'r':
		return simple(func(m *client.Message) string { return strconv.Itoa(bit(m.Retain)) }), nil
	case 'l':
		return simple(func(m *client.Message) string { return strconv.Itoa(len(m.Payload)) }), nil
	case 'm':
		return simple(func(m *client.Message) string { return strconv.Itoa(int(m.PacketID)) }), nil
	case 'I':
		return func(_ *client.Message, at time.Time) string { return at.Format("2006-01-02T15:04:05-0700") }, nil
	case 'U':
		return func(_ *client.Message, at time.Time) string {
			return fmt.Sprintf("%d.%09d", at.Unix(), at.Nanosecond())
		}, nil
	case 'j', 'J':
		return func(m *client.Message, at time.Time) string { return jsonOf(m, at, letter == 'J', pretty) }, nil
	case 'A':
		return number(codec.PropTopicAlias, func(p *codec.Properties) uint32 { return uint32(p.TopicAlias) }), nil
	case 'E':
		return number(codec.PropMessageExpiry, func(p *codec.Properties) uint32 { return p.MessageExpirySeconds }), nil
	case 'F':
		return number(codec.PropPayloadFormat, func(p *codec.Properties) uint32 { return uint32(p.PayloadFormat) }), nil
	case 'C':
		return simple(func(m *client.Message) string { return string(m.Props.ContentType) }), nil
	case 'D':
		return simple(func(m *client.Message) string { return string(m.Props.CorrelationData) }), nil
	case 'R':
		return simple(func(m *client.Message) string { return string(m.Props.ResponseTopic) }), nil
	case 'P':
		return simple(userProperties), nil
	case 'S':
		return simple(func(m *client.Message) string { return strings.Trim(fmt.Sprint(identifiers(m)), "[]") }), nil
	}
	return nil, fmt.Errorf("%%%c is not known", letter)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func userProperties(m *client.Message) string {
	var list []string
	m.Props.EachUser(func(name, value []byte) { list = append(list, string(name)+":"+string(value)) })
	return strings.Join(list, " ")
}

func identifiers(m *client.Message) []uint32 {
	if !m.Props.Has.Has(codec.PropSubscriptionID) {
		return nil
	}
	return m.Props.SubscriptionIDs
}

// jsonProperties are the properties of a message, under Mosquitto's names.
type jsonProperties struct {
	Format      *byte           `json:"payload-format-indicator,omitempty"`
	Expiry      *uint32         `json:"message-expiry-interval,omitempty"`
	ContentType *string         `json:"content-type,omitempty"`
	Response    *string         `json:"response-topic,omitempty"`
	Correlation *string         `json:"correlation-data,omitempty"`
	IDs         []uint32        `json:"subscription-identifier,omitempty"`
	Alias       *uint16         `json:"topic-alias,omitempty"`
	User        json.RawMessage `json:"user-properties,omitempty"`
}

// jsonMessage is a line of %j.
type jsonMessage struct {
	Time       string          `json:"tst"`
	Topic      string          `json:"topic"`
	QoS        byte            `json:"qos"`
	Retain     int             `json:"retain"`
	Bytes      int             `json:"payloadlen"`
	PacketID   uint16          `json:"mid,omitempty"`
	Properties *jsonProperties `json:"properties,omitempty"`
	Payload    any             `json:"payload,omitempty"`
	Base64     []byte          `json:"payload_b64,omitempty"`
}

// jsonOf prints a message as JSON. A payload that is not UTF-8 stands as
// base64 under payload_b64.
func jsonOf(m *client.Message, at time.Time, embed, pretty bool) string {
	j := jsonMessage{
		Time: at.Format("2006-01-02T15:04:05.000000Z07:00"), Topic: m.Topic, QoS: m.QoS, Retain: bit(m.Retain),
		Bytes: len(m.Payload), PacketID: m.PacketID, Properties: jsonPropertiesOf(&m.Props),
	}
	switch {
	case embed && json.Valid(m.Payload):
		j.Payload = json.RawMessage(m.Payload)
	case embed && len(m.Payload) == 0:
		j.Payload = json.RawMessage("null")
	case utf8.Valid(m.Payload):
		j.Payload = string(m.Payload)
	default:
		j.Base64 = m.Payload
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if pretty {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(&j); err != nil {
		return fmt.Sprintf(`{"error":%q}`, err.Error())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func jsonPropertiesOf(p *codec.Properties) *jsonProperties {
	if p.Has == 0 {
		return nil
	}
	j := new(jsonProperties)
	text := func(id codec.PropertyID, v []byte) *string {
		if !p.Has.Has(id) {
			return nil
		}
		return new(string(v))
	}
	if p.Has.Has(codec.PropPayloadFormat) {
		j.Format = &p.PayloadFormat
	}
	if p.Has.Has(codec.PropMessageExpiry) {
		j.Expiry = &p.MessageExpirySeconds
	}
	if p.Has.Has(codec.PropTopicAlias) {
		j.Alias = &p.TopicAlias
	}
	if p.Has.Has(codec.PropSubscriptionID) {
		j.IDs = p.SubscriptionIDs
	}
	j.ContentType, j.Response = text(codec.PropContentType, p.ContentType), text(codec.PropResponseTopic, p.ResponseTopic)
	j.Correlation = text(codec.PropCorrelationData, p.CorrelationData)
	j.User = jsonUsers(p)
	return j
}

// jsonUsers keeps the order of user properties, which a map would not.
func jsonUsers(p *codec.Properties) json.RawMessage {
	if !p.Has.Has(codec.PropUser) {
		return nil
	}
	out := []byte{'{'}
	p.EachUser(func(name, value []byte) {
		k, _ := json.Marshal(string(name)) // a string always can
		v, _ := json.Marshal(string(value))
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, k...), ':'), v...)
	})
	return append(out, '}')
}
