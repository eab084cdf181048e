package router

import (
	"bytes"
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// resolveAlias gives p its topic where the client sent an alias in its place,
// and notes the alias where it sent both (section 3.3.2.3.4).
func (c *Client) resolveAlias(p *codec.Publish) error {
	if !p.Props.Has.Has(codec.PropTopicAlias) {
		return nil
	}
	n, v := int(p.Props.TopicAlias), c.v5
	if most := int(v.aliasMax); n > most { // [MQTT-3.3.2-9]
		c.r.hit(LimitTopicAlias)
		return &refusal{codec.TopicAliasInvalid, fmt.Sprintf("Topic Alias %d; topic-alias-max is %d", n, most)}
	}
	if len(p.Topic) > 0 {
		used := &c.r.memory.aliases
		for len(v.aliasesIn) < n {
			v.aliasesIn = append(v.aliasesIn, nil)
			*used += aliasInBytes
		}
		if a := &v.aliasesIn[n-1]; !bytes.Equal(*a, p.Topic) {
			*used -= int64(cap(*a))
			*a = append((*a)[:0], p.Topic...)
			*used += int64(cap(*a))
		}
		return nil
	}
	if n > len(v.aliasesIn) || v.aliasesIn[n-1] == nil {
		return &refusal{codec.ProtocolError, fmt.Sprintf("Topic Alias %d was never set", n)}
	}
	p.Topic = v.aliasesIn[n-1]
	return nil
}

// aliasTable chooses topics for aliases towards one client: those it gets most.
// A topic must come twice in a while to be given one; when all are taken, the
// one that came least has to go.
type aliasTable struct {
	byTopic map[string]int // place in slots
	slots   []aliasSlot    // alias n stands at n-1
	most    int            // of them
	hand    int            // next slot that is looked at for its score
	seen    [aliasSeen]uint32
}

type aliasSlot struct {
	topic string
	score uint8
}

// aliasSeen is how many topics are remembered as having come once; it is a
// power of two. aliasScoreMax bounds how long a busy topic outlives its time.
const (
	aliasSeen     = 64
	aliasScoreMax = 200
)

// aliasBytes is what a Topic Alias costs on the wire; shorter topics need none.
const aliasBytes = 3

// newAliasTable makes a table for n aliases, which grows as they are used: who gets
// one has not logged in yet.
func newAliasTable(n int) *aliasTable { return &aliasTable{byTopic: make(map[string]int), most: n} }

// choose returns the alias for topic. known: the client knows it, so that the
// topic can be left out. 0: none.
//
// hot: no allocation.
func (t *aliasTable) choose(topic []byte) (alias uint16, known bool) {
	if len(topic) <= aliasBytes {
		return 0, false
	}
	if i, ok := t.byTopic[string(topic)]; ok {
		s := &t.slots[i]
		s.score = min(s.score+1, aliasScoreMax)
		return uint16(i + 1), true
	}
	h := uint32(2166136261) // FNV-1a
	for _, b := range topic {
		h = (h ^ uint32(b)) * 16777619
	}
	if at := &t.seen[h%aliasSeen]; *at != h {
		*at = h
		return 0, false
	}
	if !t.full() {
		return uint16(len(t.slots) + 1), false
	}
	s := &t.slots[t.hand]
	if s.score == 0 {
		return uint16(t.hand + 1), false
	}
	s.score--
	t.hand = (t.hand + 1) % len(t.slots)
	return 0, false
}

// full tells whether all aliases are given to topics.
func (t *aliasTable) full() bool { return len(t.slots) == t.most }

// sent notes that the client was told what alias stands for, and returns by how
// many bytes the table has grown.
func (t *aliasTable) sent(alias uint16, topic []byte) (grown int64) {
	i := int(alias - 1)
	grown = int64(len(topic))
	if i == len(t.slots) {
		t.slots = append(t.slots, aliasSlot{})
		grown += aliasOutBytes
	} else {
		delete(t.byTopic, t.slots[i].topic)
		grown -= int64(len(t.slots[i].topic))
	}
	t.slots[i] = aliasSlot{topic: string(topic), score: 1}
	t.byTopic[t.slots[i].topic] = i
	return grown
}

// What aliases take beside their topics, in bytes.
const (
	aliasInBytes    = 24
	aliasOutBytes   = 80 // a slot and an entry of the map
	aliasTableBytes = 400
)

// memory is about what the table takes, in bytes.
func (t *aliasTable) memory() int64 {
	n := aliasTableBytes + aliasOutBytes*len(t.slots)
	for i := range t.slots {
		n += len(t.slots[i].topic)
	}
	return int64(n)
}

// aliasMemory is what the aliases of a connection take, both ways.
func (c *Client) aliasMemory() (n int64) {
	if c.v5 != nil {
		for _, a := range c.v5.aliasesIn {
			n += aliasInBytes + int64(cap(a))
		}
	}
	if c.aliases != nil {
		n += c.aliases.memory()
	}
	return n
}
