package acl

import (
	"github.com/loopmq/loopmq/router/topic"
)

// Subject is what the rules say of one client. It is nil where there are no
// rules at all; then everything is allowed.
type Subject struct {
	rules       *Rules
	publish     *list
	subscribe   *list
	deliver     *list
	lastPublish *entry // the cache's, found last
	lastDeliver *entry
	note        string
}

// Verdict is an answer, and the rule that gave it.
type Verdict struct {
	Allowed bool
	Rule    *Rule // nil: no rule speaks of it, which denies, unless there are no rules at all
}

// String says it in words.
func (v Verdict) String() string {
	switch {
	case v.Rule != nil && v.Allowed:
		return "allowed by " + v.Rule.String()
	case v.Rule != nil:
		return "denied by " + v.Rule.String()
	case v.Allowed:
		return "allowed: there are no rules"
	}
	return "denied: no rule allows it"
}

// Publish says whether the client may publish to a topic, also by its will.
//
// hot: no allocation; a comparison when the topic is the last one again.
func (s *Subject) Publish(topic []byte) Verdict {
	if s == nil {
		return Verdict{Allowed: true}
	}
	return s.rules.cache.verdict(s.publish, &s.lastPublish, topic)
}

// Deliver says whether the client may be sent a message of a topic. It is asked
// for every message: live, retained, queued, or another client's will.
//
// hot: no allocation; a comparison when the topic is the last one again.
func (s *Subject) Deliver(topic []byte) Verdict {
	if s == nil {
		return Verdict{Allowed: true}
	}
	return s.rules.cache.verdict(s.deliver, &s.lastDeliver, topic)
}

// Subscribe says whether SUBSCRIBE is granted for a filter, shared ones with
// their $share/NAME/ in front. It is refused where nothing could ever come of
// it: no rule allows any topic that the filter matches. Deliver then judges
// each message, so a filter wider than the rules is granted and receives what
// they allow.
func (s *Subject) Subscribe(filter []byte) Verdict {
	if s == nil {
		return Verdict{Allowed: true}
	}
	_, inner, _, err := topic.ParseShare(filter)
	if err != nil || topic.ValidateFilter(inner) != nil {
		return Verdict{}
	}
	return s.subscribe.grants(string(inner))
}

// Note says why rules that seem to speak of the client do not; it may be empty.
func (s *Subject) Note() string {
	if s == nil {
		return ""
	}
	return s.note
}

// decide finds the first entry that matches.
func (l *list) decide(topic []byte) Verdict {
	if len(topic) == 0 {
		return Verdict{}
	}
	for i := range l.entries {
		e := &l.entries[i]
		if n := len(e.lead); len(topic) >= n && string(topic[:n]) == e.lead && matches(e.filter, topic) {
			return Verdict{e.rule.allow, e.rule}
		}
	}
	return Verdict{}
}

// grants finds the first entry that allows a topic which the filter matches and
// which no entry before it denies; or the one that denies the filter whole.
func (l *list) grants(filter string) Verdict {
	for i, e := range l.entries {
		if !e.rule.allow {
			if covers(e.filter, filter) {
				return Verdict{false, e.rule}
			}
			continue
		}
		both, some := meet(e.filter, filter)
		if some && l.denied(i, both) == nil {
			return Verdict{true, e.rule}
		}
	}
	return l.refusal(filter)
}

// denied is a rule before i that denies all that a filter matches.
func (l *list) denied(i int, filter string) *Rule {
	for _, e := range l.entries[:i] {
		if !e.rule.allow && covers(e.filter, filter) {
			return e.rule
		}
	}
	return nil
}

// refusal names the rule that takes away what others would have allowed.
func (l *list) refusal(filter string) Verdict {
	for i, e := range l.entries {
		if both, some := meet(e.filter, filter); some && e.rule.allow {
			return Verdict{false, l.denied(i, both)}
		}
	}
	return Verdict{}
}
