package router

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/loopmq/loopmq/router/topic"
)

// Durability is what an acknowledgement of a message promises.
type Durability byte

// The classes of durability. A message that nobody has looked at has none.
const (
	durabilityOpen Durability = iota
	DurabilitySync            // it is on the disk
	DurabilityLazy            // it will be, within Config.LazyInterval
	DurabilityNone            // nothing: it is kept in memory only
)

// Durabilities are the names of the classes.
func Durabilities() []string { return []string{"sync", "lazy", "none"} }

// ParseDurability is the class with that name.
func ParseDurability(name string) (Durability, error) {
	for i, n := range Durabilities() {
		if n == name {
			return DurabilitySync + Durability(i), nil
		}
	}
	return 0, fmt.Errorf("durability %q: must be sync, lazy or none", name)
}

func (d Durability) String() string {
	if d == durabilityOpen || d > DurabilityNone {
		return "unknown"
	}
	return Durabilities()[d-DurabilitySync]
}

// DurabilityRule gives the topics that match Filter a class. Of several that
// match, the first in Config.Durability counts; without any it is sync.
type DurabilityRule struct {
	Filter string
	Class  Durability
}

// Validate says what is wrong with the rule.
func (d *DurabilityRule) Validate() error {
	if _, _, shared, err := topic.ParseShare([]byte(d.Filter)); shared || err != nil {
		return fmt.Errorf("durability filter %q: a shared subscription names no topics", d.Filter)
	}
	if err := topic.ValidateFilter([]byte(d.Filter)); err != nil {
		return fmt.Errorf("durability: %w", err)
	}
	if d.Class < DurabilitySync || d.Class > DurabilityNone {
		return fmt.Errorf("durability of %q: must be sync, lazy or none", d.Filter)
	}
	return nil
}

// classes finds the class of a topic: one walk through a trie, which remembers
// topics that come again. A rule stands in it as a Subscription of nobody, with
// its place as key and its class as qos: a trie of something else would be 40 kB of
// the same code once more.
type classes struct {
	index *topic.Index[*Subscription] // nil: there are no rules
}

func newClasses(rules []DurabilityRule) classes {
	if len(rules) == 0 {
		return classes{}
	}
	c := classes{index: topic.NewIndex[*Subscription]()}
	for i, r := range rules {
		c.index.Insert(r.Filter, &Subscription{key: uint64(i), qos: byte(r.Class)})
	}
	return c
}

// of is the class of a topic.
//
// hot: one comparison where there are no rules; QoS 0 that is not retained does
// not come here.
func (c *classes) of(t []byte) Durability {
	if c.index == nil {
		return DurabilitySync
	}
	place, class := uint64(math.MaxUint64), DurabilitySync
	for _, set := range c.index.Match(t) {
		for _, r := range set {
			if r.key < place {
				place, class = r.key, Durability(r.qos)
			}
		}
	}
	return class
}

// class is what holds for m. It stays what it was when it was first asked for:
// what is written is taken away again, whatever the rules say by then.
func (k *keeper) class(m *Message) Durability {
	if m.class == durabilityOpen {
		m.class = DurabilitySync // a start has brought it back
		if m.key == 0 {
			m.class = k.classes.of(m.Topic())
		}
	}
	return m.class
}

// urgency says who waits for a record.
type urgency byte

const (
	later    urgency = iota // nobody: it goes with what comes, or after the lazy interval
	soon                    // what is sent, but not the client that caused it
	wanted                  // the answers that follow, until all have acknowledged the message
	promised                // the answers that follow
)

// urgencyOf is that of records which make a message of this class durable.
func urgencyOf(d Durability) urgency {
	if d == DurabilityLazy {
		return later
	}
	return promised
}

// lazyIntervalDefault is Config.LazyInterval where that is 0.
const lazyIntervalDefault = time.Second

// change takes what may change while the router runs.
func (k *keeper) change(cfg *Config) {
	if k == nil {
		return
	}
	k.classes = newClasses(cfg.Durability)
	k.wear.most = cfg.WrittenPerDayWarn
	k.lazyWait = int64(cmp.Or(cfg.LazyInterval, lazyIntervalDefault))
}
