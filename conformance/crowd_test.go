package conformance

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// How many talk in a crowd, and how much each publisher says.
const (
	crowdPublishers  = 50
	crowdSubscribers = 50
	crowdMessages    = 20
)

// TestCrowd: a hundred clients talk at once. Each subscriber gets every message
// once, and those of one publisher in their order, with each QoS.
func TestCrowd(t *testing.T) {
	each(t, options{queuedMessagesMax: 10_000, queuedBytesMax: 64 << 20}, func(t *testing.T, tg target) {
		var subs, pubs []*conn
		for i := range crowdSubscribers {
			subs = append(subs, join(t, tg, fmt.Sprint("sub", i), clean).subscribed("crowd/+", 2))
		}
		for i := range crowdPublishers {
			pubs = append(pubs, join(t, tg, fmt.Sprint("pub", i), clean))
		}
		for qos := range byte(3) {
			var all sync.WaitGroup
			failed := make(chan error, len(subs)+len(pubs))
			for _, c := range subs {
				all.Go(func() {
					if err := c.hearCrowd(qos); err != nil {
						failed <- fmt.Errorf("QoS %d, %s: %w", qos, c.name, err)
					}
				})
			}
			for i, c := range pubs {
				all.Go(func() {
					if err := c.speakInCrowd(qos, i); err != nil {
						failed <- fmt.Errorf("QoS %d, %s: %w", qos, c.name, err)
					}
				})
			}
			all.Wait()
			close(failed)
			for err := range failed {
				t.Error(err)
			}
			if t.Failed() {
				return
			}
			for _, c := range subs {
				c.expectNothing()
			}
		}
	})
}

// speakInCrowd publishes the numbers from 0 to crowdMessages-1, all at once,
// and waits until they are acknowledged.
func (c *conn) speakInCrowd(qos byte, who int) error {
	var out []byte
	for i := range crowdMessages {
		out = append(out, publish(0x30|qos<<1, i+1, fmt.Sprint("crowd/", who), strconv.Itoa(i))...)
	}
	if err := c.tell(out); err != nil {
		return err
	}
	var stages [][]byte // the first bytes of the answers, in turn
	switch qos {
	case 1:
		stages = [][]byte{{0x40, 2}}
	case 2:
		stages = [][]byte{{0x50, 2}, {0x70, 2}}
	}
	for at, head := range stages {
		var answer []byte
		for i := range crowdMessages {
			p, err := c.next()
			if err != nil {
				return fmt.Errorf("want acknowledgement %d, got %w", i+1, err)
			}
			if want := append(bytes.Clone(head), byte((i+1)>>8), byte(i+1)); !bytes.Equal(p, want) {
				return fmt.Errorf("want %s, got %s", describe(want), describe(p))
			}
			answer = append(answer, pubrel(i+1)...)
		}
		if at+1 < len(stages) {
			if err := c.tell(answer); err != nil {
				return err
			}
		}
	}
	return nil
}

// hearCrowd reads and acknowledges all that the crowd says.
func (c *conn) hearCrowd(qos byte) error {
	var next [crowdPublishers]int // of each publisher
	pubrels := 0
	if qos == 2 {
		pubrels = crowdPublishers * crowdMessages
	}
	for messages := crowdPublishers * crowdMessages; messages > 0 || pubrels > 0; {
		p, err := c.next()
		if err != nil {
			return fmt.Errorf("want %d more messages and %d more PUBRELs, got %w", messages, pubrels, err)
		}
		var answer []byte
		switch p[0] {
		case 0x30, 0x32, 0x34:
			messages--
			if answer, err = heard(p, qos, &next); err != nil {
				return err
			}
		case 0x62:
			pubrels--
			answer = pubcomp(int(p[2])<<8 | int(p[3]))
		default:
			return fmt.Errorf("want PUBLISH or PUBREL, got %s", describe(p))
		}
		if err := c.tell(answer); err != nil {
			return err
		}
	}
	return nil
}

// heard checks a PUBLISH against what its publisher must say next, and returns
// the answer to it.
func heard(p []byte, qos byte, next *[crowdPublishers]int) (answer []byte, err error) {
	topic, rest := string(p[4:4+p[3]]), p[4+p[3]:] // the Remaining Length has one byte
	id := 0
	if qos > 0 {
		id = int(rest[0])<<8 | int(rest[1])
	}
	who, err := strconv.Atoi(strings.TrimPrefix(topic, "crowd/"))
	if err != nil {
		return nil, fmt.Errorf("want topic crowd/NUMBER, got %q", topic)
	}
	if want := publish(0x30|qos<<1, id, topic, strconv.Itoa(next[who])); !bytes.Equal(p, want) {
		return nil, fmt.Errorf("want from publisher %d %s, got %s", who, describe(want), describe(p))
	}
	next[who]++
	switch qos {
	case 1:
		answer = puback(id)
	case 2:
		answer = pubrec(id)
	}
	return answer, nil
}

// tell is send for goroutines, which may not end the test.
func (c *conn) tell(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}
