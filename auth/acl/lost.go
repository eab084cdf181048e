package acl

import (
	"maps"
	"slices"
	"strings"
)

// Loss is something that a client may do by one file and not by another.
type Loss struct {
	Action Action
	Filter string // topics that it is about; all of them, or some
	By     *Rule  // which denies now; nil: no rule allows it any more
}

// pairsMax is how many pairs of filters Lost compares: files of some hundred
// lines for one client.
const pairsMax = 1 << 18

// Lost finds what who may do by the rules of old and no longer by those of now;
// nil Rules allow everything. It tries the topics that the filters of both speak
// of, and those that two of them have in common.
func Lost(old, now *Rules, who Who) (losses []Loss) {
	before, after := old.For(who), now.For(who)
	for _, action := range []Action{Publish, Subscribe} {
		filters := joined(before.filters(action), after.filters(action))
		seen := map[string]bool{}
		for _, f := range filters {
			topic := sample(f)
			if seen[topic] {
				continue
			}
			seen[topic] = true
			if before.may(action, topic).Allowed {
				if v := after.may(action, topic); !v.Allowed {
					losses = append(losses, Loss{action, f, v.Rule})
				}
			}
		}
	}
	return losses
}

// Users are the names of users that the file speaks of, in order.
func (r *Rules) Users() []string {
	if r == nil {
		return nil
	}
	names := slices.Collect(maps.Keys(r.users))
	names = slices.AppendSeq(names, maps.Keys(r.byUser))
	for _, role := range r.roles {
		names = slices.AppendSeq(names, maps.Keys(role.members))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// may asks without the cache.
func (s *Subject) may(action Action, topic string) Verdict {
	if s == nil {
		return Verdict{Allowed: true}
	}
	return s.list(action).decide([]byte(topic))
}

// list decides about an action; of SUBSCRIBE what is delivered is what counts.
func (s *Subject) list(action Action) *list {
	if action == Publish {
		return s.publish
	}
	return s.deliver
}

// filters are those of the rules that speak of the client; without rules that of
// all topics.
func (s *Subject) filters(action Action) (all []string) {
	if s == nil {
		return []string{"#"}
	}
	for _, e := range s.list(action).entries {
		all = append(all, e.filter)
	}
	return all
}

// joined are the filters of both, and what two of them have in common.
func joined(a, b []string) []string {
	all := slices.Concat(a, b)
	if len(a)*len(b) <= pairsMax {
		for _, x := range a {
			for _, y := range b {
				if both, some := meet(x, y); some {
					all = append(all, both)
				}
			}
		}
	}
	return all
}

// sample is a topic that a filter matches and hardly any narrower one.
func sample(filter string) string {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch level {
		case "+":
			levels[i] = "any"
		case "#":
			levels[i] = "any/any"
		}
	}
	return strings.Join(levels, "/")
}
