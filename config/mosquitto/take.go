package mosquitto

import (
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// listener begins a listener: PORT [ADDRESS], or 0 and the path of a socket.
func (c *converter) listener(value string) {
	port, rest, _ := strings.Cut(value, " ")
	n, ok := c.integer(port, 0, 65535)
	host := word(strings.TrimLeft(rest, " "))
	if strings.HasPrefix(host, "#") {
		host = ""
	}
	l := &listener{at: c.at, port: n, host: host}
	if c.named = true; ok && n == 0 {
		if l.unix, l.host = host, ""; host == "" {
			c.refuse("port 0 wants the path of a socket behind it: Mosquitto refuses it too")
		}
	}
	c.listeners = append(c.listeners, l)
	c.current, c.bridge = l, ""
}

func (c *converter) domain(value string) {
	switch d := word(value); d {
	case "ipv4", "ipv6":
		c.here().domain = d
	default:
		c.refuse("is neither ipv4 nor ipv6: Mosquitto refuses it too")
	}
}

func (c *converter) protocol(value string) {
	switch word(value) {
	case "mqtt":
		c.here().websockets = false
	case "websockets":
		c.here().websockets = true
	case "http_api":
		c.here().drop = true
		c.note("left out with its listener: there is no such HTTP API")
	default:
		c.refuse("is neither mqtt nor websockets: Mosquitto refuses it too")
	}
}

func (c *converter) maxQoS(value string) {
	if n, ok := c.integer(value, 0, 2); ok && n < 2 {
		c.note("left out: clients may use all of QoS 0, 1 and 2")
	}
}

func (c *converter) versions(value string) {
	names := map[string]string{"3": "3.1", "4": "3.1.1", "5": "5"}
	l := c.here()
	l.out.Versions = nil
	for _, v := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t", r) }) {
		if ours, ok := names[v]; ok && !slices.Contains(l.out.Versions, ours) {
			l.out.Versions = append(l.out.Versions, ours)
		}
	}
	if len(l.out.Versions) == 0 {
		c.refuse("cannot be left out: no version is allowed, and none listed means all with us")
	}
}

func (c *converter) tlsMin(value string) {
	switch word(value) {
	case "tlsv1.3":
		c.here().tlsVersion = "1.3"
	case "tlsv1.2":
		c.here().tlsVersion = "1.2"
	case "tlsv1.1", "tlsv1":
		c.note("TLS 1.2 is the oldest that is spoken")
		c.here().tlsVersion = "1.2"
	default:
		c.refuse("is none of tlsv1.3, tlsv1.2 and tlsv1.1: Mosquitto refuses it too")
	}
}

// loadPlugin knows the two plug-ins of Mosquitto 2.1 that do what its options
// do.
func (c *converter) loadPlugin(value string) {
	c.plugin = strings.TrimSuffix(path.Base(word(value)), ".so")
	switch c.plugin {
	case "mosquitto_password_file", "mosquitto_acl_file":
	case "mosquitto_dynamic_security":
		c.refuse("cannot be left out: the dynamic security plug-in is not there, and its users and roles would not hold; write them into password_file and acl_file")
	case "mosquitto_persist_sqlite":
		c.note("left out: state_dir keeps messages")
		c.persistence = true
	default:
		c.refuse("cannot be left out: plug-ins cannot be loaded; what it decides would be decided by nobody")
	}
}

func (c *converter) pluginOption(name, value string) {
	switch {
	case c.plugin == "":
		c.refuse("there is no plug-in before it: Mosquitto refuses it too")
	case c.plugin == "mosquitto_password_file" && name == "plugin_opt_password_file":
		c.secure().passwordFile = value
	case c.plugin == "mosquitto_acl_file" && name == "plugin_opt_acl_file":
		c.secure().aclFile = value
	default:
		c.note("left out with the plug-in %q", c.plugin)
	}
}

func (c *converter) expiration(value string) {
	value = word(value)
	units := map[byte]time.Duration{'s': time.Second, 'h': time.Hour, 'd': day, 'w': 7 * day, 'm': 30 * day, 'y': 365 * day}
	unit := units[value[len(value)-1]]
	n, err := strconv.ParseInt(value[:len(value)-1], 10, 64)
	if err != nil || unit == 0 || n <= 0 {
		c.refuse("is no number with h, d, w, m or y: Mosquitto refuses it too")
		return
	}
	c.expirySet = true
	c.f.Limits.SessionExpiry = forEver
	if n < int64(forEver/unit) {
		c.f.Limits.SessionExpiry = time.Duration(n) * unit
	}
}

const (
	day = 24 * time.Hour
	// forEver is long enough for sessions that shall not expire.
	forEver = 36_500 * day
)

// logDest takes one of the places of a log. There is one with us: a file goes
// before the system's log, that before standard error.
func (c *converter) logDest(value string) {
	kind, rest, _ := strings.Cut(value, " ")
	to := ""
	switch kind {
	case "stderr", "stdout":
		to = "stderr"
	case "syslog":
		to = "syslog"
	case "file":
		if to = strings.TrimLeft(rest, " \t"); to == "" {
			c.refuse("file wants a path behind it: Mosquitto refuses it too")
			return
		}
		if !strings.Contains(to, "/") {
			to = "./" + to
		}
	case "topic":
		c.note("left out: the log is no topic")
		return
	case "none":
		c.note("left out: errors are always logged")
		c.logTypes, c.logLevelSeen = []string{"error"}, true
		return
	case "dlt", "android":
		c.note("left out: the log does not go there")
		return
	default:
		c.refuse("is no place of a log: Mosquitto refuses it too")
		return
	}
	weight := func(to string) int {
		switch to {
		case "":
			return 0
		case "stderr":
			return 1
		case "syslog":
			return 2
		}
		return 3
	}
	if c.logTo != "" && c.logTo != to {
		c.note("the log goes to one place only; a file is taken before syslog, that before standard error")
	}
	if weight(to) > weight(c.logTo) {
		c.logTo = to
	}
}

func (c *converter) logType(value string) {
	kind := word(value)
	switch kind {
	case "none":
		c.logTypes, c.logLevelSeen = nil, true
		c.note("errors are always logged")
	case "information", "notice", "warning", "error", "debug", "all":
		c.logTypes, c.logLevelSeen = append(c.logTypes, kind), true
	case "subscribe", "unsubscribe", "websockets", "internal":
		c.logLevelSeen = true
		c.note("left out: it is no kind of line by itself; see log.level")
	default:
		c.refuse("is no type of log: Mosquitto refuses it too")
	}
}

// level is the level that shows all types that are asked for.
func (c *converter) level() string {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(c.logTypes, func(t string) bool { return slices.Contains(kinds, t) })
	}
	switch {
	case !c.logLevelSeen, has("information", "notice") && !has("debug", "all"):
		return "info"
	case has("debug", "all"):
		return "debug"
	case has("warning"):
		return "warn"
	}
	return "error"
}

// messageOverhead is what a packet may have besides its payload.
const messageOverhead = 5 + 2 + math.MaxUint16 + 2
