package client

import "strings"

// Matches reports whether a filter matches a topic (section 4.7), the rule
// for topics that begin with $ included.
func Matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false // [MQTT-4.7.2-1]
	}
	for {
		f, restF, moreF := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, restT, moreT := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !moreT {
			return !moreF || restF == "#" // # matches the parent level too
		}
		if !moreF {
			return false
		}
		filter, topic = restF, restT
	}
}
