package router

import (
	"fmt"

	"github.com/loopmq/loopmq/codec"
)

// handleUnsubscribe removes filters and answers, whether there were any or not
// [MQTT-3.10.4-5].
func (c *Client) handleUnsubscribe(k *codec.Packet) error {
	return c.file(k, new(unsubscribing))
}

// unsubscribing is an UNSUBSCRIBE that is being handled.
type unsubscribing struct {
	p, unchecked codec.Unsubscribe
	ack          codec.Unsuback
	mark         uint64
}

func (f *unsubscribing) decode(c *Client, k *codec.Packet) error {
	if err := f.p.DecodeHead(k, c.version); err != nil {
		return err
	}
	f.unchecked = f.p
	return nil
}

func (f *unsubscribing) check(c *Client) (more bool, err error) {
	name, more, err := f.unchecked.Check()
	if !more {
		return false, err
	}
	c.r.toil += toilToCheck(name)
	if err := checkFilter(&codec.Filter{Name: name}); err != nil {
		return false, fmt.Errorf("UNSUBSCRIBE: %w", err)
	}
	return true, nil
}

func (f *unsubscribing) begin(c *Client) {
	f.mark = c.r.keep.mark()
	f.ack = codec.Unsuback{PacketID: f.p.PacketID}
}

func (f *unsubscribing) enter(c *Client) (more bool, err error) {
	name, ok := f.p.Next()
	if !ok {
		return false, nil
	}
	s, r := c.session, c.r
	if c.undurable() { // a start would bring it back
		if c.v5 == nil {
			return false, errStoreFailed
		}
		f.ack.Codes = append(f.ack.Codes, byte(codec.ImplementationSpecificError))
		return true, nil
	}
	sub := s.subs.find(name)
	if sub == nil {
		c.awaitAll()
		f.ack.Codes = append(f.ack.Codes, byte(codec.NoSubscriptionExisted))
		return true, nil
	}
	r.unsubscribe(sub)
	s.subs.remove(sub)
	s.callOff(sub)
	f.ack.Codes = append(f.ack.Codes, byte(codec.Success))
	return true, nil
}

func (f *unsubscribing) finish(c *Client) error {
	c.awaitRoom(f.mark)
	if err := c.awaitFiled(f.mark); err != nil {
		return err
	}
	c.r.scratch = codec.AppendUnsuback(c.r.scratch[:0], c.version, &f.ack)
	return c.answer(c.r.scratch)
}
