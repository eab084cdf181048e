package config

import (
	"strings"

	"github.com/loopmq/loopmq/broker"
)

// Durability gives the topics that match a filter a class.
type Durability struct {
	Filter string
	Class  string
}

func (d *Durability) rows() []*row {
	return []*row{
		textRow(&d.Filter, "filter", "#", Live, "The topics it is for, as in a subscription; to be said.", topicFilter),
		choiceRow(&d.Class, "class", "sync", broker.Durabilities(), Live,
			`"sync": an acknowledgement means that the message is on the disk. "lazy": acknowledged at once and written within lazy_interval. "none": kept in memory only, lost in a restart.`),
	}
}

// topicFilter checks a filter of a table that gives topics a class.
func topicFilter(s string) string {
	class, _ := broker.ParseDurability("sync")
	rule := broker.DurabilityRule{Filter: s, Class: class}
	if err := rule.Validate(); err != nil {
		what := err.Error()
		return what[strings.LastIndex(what, ": ")+2:]
	}
	return ""
}

// durability is the table as package broker takes it.
func (f *File) durability() (rules []broker.DurabilityRule, err error) {
	for _, d := range f.Durability {
		class, err := broker.ParseDurability(d.Class)
		if err != nil {
			return nil, err
		}
		rules = append(rules, broker.DurabilityRule{Filter: d.Filter, Class: class})
	}
	return rules, nil
}

// The words of state_dir that are no directories.
const (
	StateDirAuto = "auto"
	StateDirNone = "none"
)

// stateDirRow is a path, or one of the two words.
func stateDirRow(to *string, name string, reload Reload, doc string) *row {
	return scalarRow(to, KindPath, name, StateDirAuto, asIs[string], reload, doc, func(_ *row, in *reader, v scalar) (string, bool) {
		s, ok := in.text(v)
		if !ok || s == StateDirAuto || s == StateDirNone {
			return s, ok
		}
		return in.path(v, s)
	})
}
