package topic

import (
	"bytes"
	"fmt"
	"strings"
)

// sharePrefix starts the filter of a shared subscription [MQTT-4.8.2-1].
const sharePrefix = "$share/"

// quotedBytesMax bounds what an error repeats of a name that a peer chose.
const quotedBytesMax = 80

// Rule is a rule of the standard that a name can break.
type Rule uint8

// The rules; statements are those of MQTT 5.0, 3.1.1 has the same under its own numbers.
const (
	RuleNotEmpty         Rule = 1 + iota // at least one character [MQTT-4.7.3-1]
	RuleNoNUL                            // no U+0000 [MQTT-4.7.3-2]
	RulePlusAlone                        // + fills its level [MQTT-4.7.1-2]
	RuleHashLast                         // # fills its level, and it is the last [MQTT-4.7.1-1]
	RuleNoWildcard                       // no + or # in a topic [MQTT-4.7.0-1, MQTT-3.3.2-2]
	RuleShareName                        // share name of at least one character without + and # [MQTT-4.8.2-1, -2]
	RuleShareNeedsFilter                 // share name followed by / and a filter [MQTT-4.8.2-2]
)

// table: indexed by Rule.
var ruleTexts = [...]string{
	RuleNotEmpty:         "is empty; it needs at least one character [MQTT-4.7.3-1]",
	RuleNoNUL:            "holds the character U+0000, which is not allowed [MQTT-4.7.3-2]",
	RulePlusAlone:        `+ must fill its level; write "a/+/b", not "a/x+/b" [MQTT-4.7.1-2]`,
	RuleHashLast:         `# must fill the last level; write "a/#", not "a#" or "a/#/b" [MQTT-4.7.1-1]`,
	RuleNoWildcard:       "+ and # are for filters, not for topics [MQTT-3.3.2-2]",
	RuleShareName:        `the share name must be one or more characters without + and #; write "$share/name/filter" [MQTT-4.8.2-1]`,
	RuleShareNeedsFilter: `the share name must be followed by / and a filter; write "$share/name/filter" [MQTT-4.8.2-2]`,
}

// String describes the rule and the way out.
func (r Rule) String() string {
	if int(r) >= len(ruleTexts) || ruleTexts[r] == "" {
		return fmt.Sprintf("rule %d", uint8(r))
	}
	return ruleTexts[r]
}

// Error says which rule a filter or topic breaks.
type Error struct {
	Kind string // "filter" or "topic"
	Name string // the name, cut after 80 bytes
	Rule Rule
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %s", e.Kind, e.Name, e.Rule) }

func broken(kind string, name []byte, r Rule) error {
	return &Error{Kind: kind, Name: string(name[:min(len(name), quotedBytesMax)]), Rule: r}
}

// ValidateFilter checks the wildcards, the length above zero and the absence of NUL of a filter that is not
// shared (see ParseShare). The error is an *Error.
func ValidateFilter(f []byte) error {
	if len(f) == 0 {
		return broken("filter", f, RuleNotEmpty)
	}
	for i, b := range f {
		first := i == 0 || f[i-1] == '/'
		last := i == len(f)-1
		switch {
		case b == 0:
			return broken("filter", f, RuleNoNUL)
		case b == '+' && !(first && (last || f[i+1] == '/')):
			return broken("filter", f, RulePlusAlone)
		case b == '#' && !(first && last):
			return broken("filter", f, RuleHashLast)
		}
	}
	return nil
}

// ValidateTopic checks that a topic to publish to is not empty and holds no wildcard and no NUL.
// The error is an *Error.
//
// hot: no allocation when the topic is valid.
func ValidateTopic(t []byte) error {
	if len(t) == 0 {
		return broken("topic", t, RuleNotEmpty)
	}
	for _, b := range t {
		if b > '+' {
			continue
		}
		switch b {
		case '+', '#':
			return broken("topic", t, RuleNoWildcard)
		case 0:
			return broken("topic", t, RuleNoNUL)
		}
	}
	return nil
}

// ParseShare splits "$share/group/filter" into views of its parts. Any other filter comes back whole with shared
// false. filter is not validated beyond being there: call ValidateFilter on it. The error is an *Error.
func ParseShare(f []byte) (group, filter []byte, shared bool, err error) {
	rest, shared := bytes.CutPrefix(f, []byte(sharePrefix))
	if !shared {
		return nil, f, false, nil
	}
	group, filter, found := bytes.Cut(rest, []byte("/"))
	switch {
	case len(group) == 0 || bytes.ContainsAny(group, "+#"):
		return nil, nil, true, broken("filter", f, RuleShareName)
	case !found || len(filter) == 0:
		return nil, nil, true, broken("filter", f, RuleShareNeedsFilter)
	}
	return group, filter, true, nil
}

// Levels returns the number of levels of a filter or topic: one more than its slashes; empty levels count.
func Levels(b []byte) int { return bytes.Count(b, []byte("/")) + 1 }

// Matches reports whether filter matches topic, both valid. It splits the names as section 4.7 of the standard
// reads: slow and plain, what Index and Cursor are tested against.
func Matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false // [MQTT-4.7.2-1]
	}
	for i, level := range f {
		switch {
		case level == "#":
			return true // also when t ends here: # matches the parent level
		case i == len(t) || level != "+" && level != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}
