package acl

import (
	"errors"
	"fmt"

	"github.com/loopmq/loopmq/router/topic"
)

// Listed makes a Subject of filters that came with the client, as in a token,
// instead of what the file says of it: it may publish to the topics of the one
// list and subscribe to those of the other, and nothing else. name is what
// verdicts call the list. The rules lend their cache only; where there is no
// file, those of an empty one do.
func (r *Rules) Listed(name string, publish, subscribe []string) (*Subject, error) {
	s := &Subject{rules: r}
	var errs []error
	build := func(word string, actions Action, filters []string) *list {
		b := listBuilder{filled: true} // this client's alone
		for i, f := range filters {
			rule := &Rule{File: name, Line: i + 1, Text: word + " " + f, actions: actions, allow: true}
			if err := rule.setFilter(f); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s %d: %w", name, word, i+1, err))
				continue
			}
			b.add(rule, false)
		}
		return r.share(&b)
	}
	s.publish = build("publish", Publish, publish)
	s.subscribe = build("subscribe", Subscribe|Deliver, subscribe)
	s.deliver = s.subscribe
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// setFilter checks a rule's filter as SUBSCRIBE would.
func (r *Rule) setFilter(filter string) error {
	r.filter = filter
	return topic.ValidateFilter([]byte(filter))
}
