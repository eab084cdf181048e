package sim

import "bytes"

// matches reports whether a filter, not shared, matches a topic: both are split
// at their slashes and compared level by level (section 4.7).
func matches(filter, topic []byte) bool {
	if topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for more := true; more; {
		var f, t []byte
		if f, filter, more = level(filter); string(f) == "#" {
			return true
		}
		if topic == nil {
			return false
		}
		t, rest, deeper := level(topic)
		if string(f) != "+" && !bytes.Equal(f, t) {
			return false
		}
		if topic = rest; !deeper {
			topic = nil
		}
	}
	return topic == nil
}

// level cuts the first level off.
func level(name []byte) (first, rest []byte, more bool) {
	if i := bytes.IndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1 : len(name) : len(name)], true
	}
	return name, nil, false
}

func levels(name []byte) int { return bytes.Count(name, []byte("/")) + 1 }

func isShared(name []byte) bool { return bytes.HasPrefix(name, []byte("$share/")) }

// inner is the filter of a shared subscription, or name itself.
func inner(name []byte) []byte {
	if !isShared(name) {
		return name
	}
	_, rest, _ := bytes.Cut(name[len("$share/"):], []byte("/"))
	return rest
}

// validFilter holds a filter against sections 4.7.1 and 4.8.2.
func validFilter(name []byte) bool {
	if isShared(name) {
		group, rest, found := bytes.Cut(name[len("$share/"):], []byte("/"))
		if len(group) == 0 || bytes.ContainsAny(group, "+#") || !found {
			return false
		}
		name = rest
	}
	if len(name) == 0 {
		return false
	}
	for more := true; more; {
		var l []byte
		l, name, more = level(name)
		if bytes.ContainsAny(l, "+#") && len(l) > 1 || string(l) == "#" && more {
			return false
		}
	}
	return true
}
